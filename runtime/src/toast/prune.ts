import type { Database } from '../core/database.js'
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
  const unneeded = page.filter((toast) => isSuperseded(registry, toast))
  const failures: unknown[] = []
  for (const definition of registry.definitions.values()) {
    unneeded.push(...(await orphans(definition, page, failures)))
  }
  const removed = await registry.store.forget(unneeded.map(({ id }) => id))
  if (failures.length > 0) throw failures[0]
  return removed
}

/** In how many parts a page is looked at where the parents of some toasts cannot be looked for. */
const PARTS = 100

/** A key that was written by hand may be none: the page is halved until the others are looked at without it. */
async function orphans(
  { name, living }: ToastDefinition,
  page: StoredToast[],
  failures: unknown[],
): Promise<StoredToast[]> {
  const parts = [page.filter((toast) => toast.name === name)]
  const found: StoredToast[] = []
  for (let looked = 0; living && looked < PARTS; looked++) {
    const part = parts.pop()
    if (!part) break
    if (part.length === 0) continue
    try {
      const alive = await living(part.map(({ key }) => key))
      found.push(...part.filter(({ key }) => !alive.has(key)))
    } catch (error) {
      failures.push(error)
      const half = part.length >> 1
      if (half > 0) parts.push(part.slice(half), part.slice(0, half))
    }
  }
  return found
}

function isSuperseded({ definitions }: ToastRegistry, { name, updated_at }: StoredToast): boolean {
  if (definitions.has(name) || Date.now() - updated_at.getTime() < SUPERSEDED_AFTER) return false
  return [...definitions.values()].some(({ baseName }) => name === baseName || name.startsWith(`${baseName}@`))
}
