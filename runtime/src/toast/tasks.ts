import type { Task } from 'graphile-worker'
import { backoff } from '../backoff.js'
import type { Database } from '../database.js'
import { describeError } from '../errors.js'
import { presenceOf } from '../presence.js'
import { serialize } from '../serialize.js'
import { versionOf } from './staleness.js'
import type { NewValue, ToastId } from './store.js'
import { type ToastDefinition, toastsOf } from './toast.js'

/** The Graphile Worker task that refreshes one toast; its payload is `{ name, key }`. It always resolves. */
export function refreshToastTask(db: Database): Task {
  return async (payload, { logger }) => {
    const id = payload as ToastId
    const outcome = await refreshToast(db, id)
    logger.debug(`toast ${id.name} ${id.key}: ${outcome}`)
  }
}

export type RefreshOutcome = 'refreshed' | 'failed' | 'nothing to do' | 'parent gone' | 'overtaken'

/** Computes a toast and stores it, if a refresh of it is due. The version is read before the computation begins. */
export async function refreshToast(db: Database, id: ToastId): Promise<RefreshOutcome> {
  const { store, definitions } = toastsOf(db)
  const { id: worker } = await presenceOf(db)
  const refresh = await store.claim(id, worker)
  if (!refresh) return 'nothing to do'
  try {
    const parent = await definitionOf(definitions, id.name).load(id.key)
    if (parent === null || parent === undefined) {
      await store.remove(id)
      return 'parent gone'
    }
    const value = await compute(definitionOf(definitions, id.name), parent)
    return (await store.store(refresh, value)) ? 'refreshed' : 'overtaken'
  } catch (error) {
    await store.postpone(refresh, describeError(error), backoff(refresh.failures + 1))
    return 'failed'
  }
}

async function compute(definition: ToastDefinition, parent: unknown): Promise<NewValue> {
  const version = versionOf(parent)
  const cachedAt = new Date()
  const started = performance.now()
  const value = await definition.compute(parent)
  const elapsed = (performance.now() - started) / 1000
  return { value: serialize(value, `what ${definition.name} returned`), version, cachedAt, elapsed }
}

function definitionOf(definitions: Map<string, ToastDefinition>, name: string): ToastDefinition {
  const definition = definitions.get(name)
  if (definition) return definition
  throw new Error(
    `No toast is called ${JSON.stringify(name)} in this worker. Define it in a module that toasts.ts exports. ` +
      `Defined: ${[...definitions.keys()].join(', ') || 'none'}.`,
  )
}
