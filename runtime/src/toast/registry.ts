import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../core/database.js'
import { AsyncGenError } from '../core/errors.js'
import { sweptTables } from '../core/swept-table.js'
import type { RegisteredToast } from './registered-toast.js'
import { type ToastId, type ToastRow, ToastStore, toastIdText } from './store.js'
import { SweptToasts } from './swept-toasts.js'

/** The toasts that this process has defined for one database, and the reads and computations that it runs. */
export class ToastRegistry {
  readonly store: ToastStore
  readonly table: SweptToasts
  readonly definitions = new Map<string, RegisteredToast>()
  /** The first pair of definitions that share a name, as a sentence. */
  #duplicate: string | undefined
  /** For tests: the reader itself runs the refresh that it requests. */
  inline = false
  readonly #running = new Map<string, Promise<unknown>>()

  constructor(db: Database) {
    this.store = new ToastStore(db)
    this.table = new SweptToasts(db, this.store, this.definitions)
  }

  /** The last definition of a name is used: a development server evaluates modules again when they change. */
  register(definition: RegisteredToast): void {
    const { name, place, code } = definition
    const earlier = this.definitions.get(name)
    this.definitions.set(name, definition)
    if (!earlier || (earlier.place === place && earlier.code === code)) return
    const duplicate = `${name} is defined twice, and both would share their values: at ${earlier.place} and at ${place}`
    this.#duplicate ??= duplicate
    if (fileOf(earlier.place) !== fileOf(place)) process.emitWarning(`${duplicate}.`, { code: DEFINED_TWICE })
  }

  /**
   * For workers, which evaluate each module once.
   * @throws AsyncGenError DEFINED_TWICE where two definitions share a name
   */
  refuseDuplicates(): void {
    if (this.#duplicate !== undefined) throw new AsyncGenError(DEFINED_TWICE, `${this.#duplicate}. Rename one of them.`)
  }

  /** @throws AsyncGenError UNKNOWN_TOAST */
  definitionOf(name: string): RegisteredToast {
    const definition = this.definitions.get(name)
    if (definition) return definition
    throw new AsyncGenError(
      'UNKNOWN_TOAST',
      `This worker has no toast named ${JSON.stringify(name)}. Define it in a module that toasts.ts exports. ` +
        `Defined: ${[...this.definitions.keys()].join(', ') || 'none'}.`,
    )
  }

  /** Runs a function once for all callers of this process that use the same key at the same time. Each caller gets its own copy. */
  async runShared<Result>(key: string, run: () => Promise<Result>): Promise<Result> {
    const running = this.#running.get(key) ?? run().finally(() => this.#running.delete(key))
    this.#running.set(key, running)
    return structuredClone((await running) as Result)
  }

  /** Reads a row after a pause. All callers that wait for the same row share one query. */
  readAfter(id: ToastId, pause: number): Promise<ToastRow | undefined> {
    return this.runShared(`read\0${toastIdText(id)}`, async () => {
      await sleep(pause)
      return await this.store.read(id)
    })
  }
}

const DEFINED_TWICE = 'DEFINED_TWICE'

/** Where a function of the runtime was called: file, line and column. */
export function callerOf(callee: (...args: never[]) => unknown): string {
  const holder: { stack?: string } = {}
  Error.captureStackTrace(holder, callee)
  const [, caller = ''] = holder.stack?.split('\n') ?? []
  const place = caller.replace(/^.*\(|^ *at |\)$/g, '').replace('file://', '')
  // Development servers add a query that differs each time.
  return place.replace(/\?.*?(?=:\d+:\d+$)/, '') || 'an unknown place'
}

function fileOf(place: string): string {
  return place.replace(/:\d+:\d+$/, '')
}

const registries = new WeakMap<Database, ToastRegistry>()

/** The registry of this process for that database. */
export function toastsOf(db: Database): ToastRegistry {
  let registry = registries.get(db)
  if (!registry) {
    registry = new ToastRegistry(db)
    registries.set(db, registry)
    sweptTables(db).add(registry.table)
  }
  return registry
}

/**
 * Deletes the rows of `toasts` that are no longer needed: expired values, toasts whose parent is gone, and values of older versions of the
 * code. Each call looks at the next thousand rows, and goes on while it finds rows to delete.
 *
 * @returns how many rows were deleted
 * @throws what the query for the parents of one toast threw (their table does not exist yet, for example), after the other toasts were
 * pruned
 */
export async function pruneToasts(db: Database): Promise<number> {
  return await toastsOf(db).table.prune()
}

/** The name in the rows of one version of the code: values of other versions are other rows. */
export function nameWithVersion(baseName: string, version: string | number | undefined): string {
  return version === undefined ? baseName : `${baseName}@${version}`
}
