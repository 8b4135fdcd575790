import type { Database } from '../database.js'
import { type ToastDefinition, type ToastRegistry, toastsOf } from './registry.js'
import { BATCH, type StoredToast } from './store.js'

/** Batches in a turn: a backlog of millions goes in many turns. */
const BATCHES = 20

/** What older versions of the code have computed is kept for a day, as that code may still run somewhere. */
const SUPERSEDED_AFTER = 86_400_000

/**
 * Removes what nobody needs any more: values that have had their time, toasts whose parent is gone, and what older versions of
 * the code have left. Each turn looks at the next thousand toasts, and at more as long as it finds some to remove.
 *
 * @returns how many rows were removed
 * @throws what went wrong with the parents of one toast (their table is not there yet, say), once the others are looked at
 */
export async function pruneToasts(db: Database): Promise<number> {
  const registry = toastsOf(db)
  let removed = 0
  for (let i = 0; i < BATCHES; i++) {
    const expired = await registry.store.pruneExpired()
    removed += expired
    if (expired < BATCH) break
  }
  for (let i = 0; i < BATCHES; i++) {
    const unneeded = await pruneNextPage(registry)
    removed += unneeded
    if (unneeded === 0) break
  }
  return removed
}

const cursors = new WeakMap<ToastRegistry, string>()

/** Before the first that a column of type bigint holds: rows that were written by hand may have any id. */
const BEFORE_ALL = '-9223372036854775808'

async function pruneNextPage(registry: ToastRegistry): Promise<number> {
  const page = await registry.store.page(cursors.get(registry) ?? BEFORE_ALL)
  cursors.set(registry, page.length < BATCH ? BEFORE_ALL : page.at(-1)!.id)
  const unneeded = page.filter((toast) => isSuperseded(registry, toast)).map(({ id }) => id)
  const failures: unknown[] = []
  for (const definition of registry.definitions.values()) {
    try {
      unneeded.push(...(await orphans(definition, page)))
    } catch (error) {
      failures.push(error)
    }
  }
  const removed = await registry.store.forget(unneeded)
  if (failures.length > 0) throw failures[0]
  return removed
}

async function orphans({ name, living }: ToastDefinition, page: StoredToast[]): Promise<string[]> {
  const toasts = page.filter((toast) => toast.name === name)
  if (toasts.length === 0 || !living) return []
  const alive = await living(toasts.map(({ key }) => key))
  return toasts.filter(({ key }) => !alive.has(key)).map(({ id }) => id)
}

function isSuperseded({ definitions }: ToastRegistry, { name, updated_at }: StoredToast): boolean {
  if (definitions.has(name) || Date.now() - updated_at.getTime() < SUPERSEDED_AFTER) return false
  return [...definitions.values()].some(({ baseName }) => name === baseName || name.startsWith(`${baseName}@`))
}
