import { AsyncGenError } from '../core/errors.js'
import type { Targets } from './target-types.js'
import type { TargetList } from './targets.js'

/** The list itself, or a function that imports the module which exports it as `targets`. */
export type TargetSource<T extends Targets> = TargetList<T> | (() => Promise<{ targets: TargetList<T> }>)

/** A function that loads the list once. A load that failed is tried again. */
export function targetLoader<T extends Targets>(source: TargetSource<T>): () => Promise<TargetList<T>> {
  let loading = typeof source === 'function' ? undefined : Promise.resolve(source)
  // One promise for all calls: each call of an attempt asks several times.
  return () => {
    if (!loading) {
      loading = importedTargets(source as () => Promise<{ targets: TargetList<T> }>)
      loading.catch(() => {
        loading = undefined
      })
    }
    return loading
  }
}

async function importedTargets<T extends Targets>(load: () => Promise<{ targets: TargetList<T> }>) {
  const { targets } = await load()
  if (targets) return targets
  throw new AsyncGenError(
    'INVALID_TARGETS',
    'The module that BaseAttempt imports exports no `targets`. Export the list there: export const targets = defineTargets(…)',
  )
}
