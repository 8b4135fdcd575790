import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../core/database.js'
import { AsyncGenError } from '../core/errors.js'
import { sweptTables } from '../core/swept-table.js'
import { type Refresh, type ToastId, type ToastRow, ToastStore, textOf } from './store.js'

/** What a slow method can ask for while it computes. */
export interface Computation {
  /** Aborts when the worker has to stop, and when a progress that is told shows that another has taken the computation over. */
  signal: AbortSignal
  /** Tells readers how far it is, from 0 to 1. Call it as often as you like: it is written twice a second at most. */
  progress(done: number): void
}

/** What is to be computed, once it is known from what. */
export interface Work {
  /** The version of what it is computed from, read before the computation begins. */
  version: string | null
  compute(computation: Computation): unknown
}

/** What tells a definition that was evaluated again from another one. */
export interface Origin {
  /** `/app/src/async/toasts.ts:12:24` */
  place: string
  /** The text of the slow method. */
  code: string
}

/** How a process computes a toast from no more than its row. */
export interface ToastDefinition extends Origin {
  /** As rows are stored: `oat.breakfast`, and `oat.breakfast@2` where the code has a version. */
  name: string
  /** The name without the version of the code. */
  baseName: string
  maxBytes: number
  /** Finds what the value is computed from. Null where that is gone. */
  prepare(refresh: Refresh): Promise<Work | null>
  /** Which of these keys have a parent. Absent where nobody can tell. */
  living?: ((keys: string[]) => Promise<Set<string>>) | undefined
}

/** The toasts that a process knows of, and what it does with them at this moment. */
export class ToastRegistry {
  readonly store: ToastStore
  readonly definitions = new Map<string, ToastDefinition>()
  /** The first name that two definitions share. */
  #clash: string | undefined
  /** Refreshes are carried out by whoever asks for them: for tests. */
  inline = false
  readonly #shared = new Map<string, Promise<unknown>>()

  constructor(db: Database) {
    this.store = new ToastStore(db)
  }

  /** The last definition of a name counts: a development server evaluates modules again when they change. */
  define(definition: ToastDefinition): void {
    const { name, place, code } = definition
    const earlier = this.definitions.get(name)
    this.definitions.set(name, definition)
    if (!earlier || (earlier.place === place && earlier.code === code)) return
    const clash = `${name} is defined twice, and both would share their values: at ${earlier.place} and at ${place}`
    this.#clash ??= clash
    if (fileOf(earlier.place) !== fileOf(place)) process.emitWarning(`${clash}.`, { code: DEFINED_TWICE })
  }

  /** @throws AsyncGenError DEFINED_TWICE where two definitions share a name: in a worker, no module is evaluated again */
  refuseClashes(): void {
    if (this.#clash !== undefined) throw new AsyncGenError(DEFINED_TWICE, `${this.#clash}. Give one another name.`)
  }

  definitionOf(name: string): ToastDefinition {
    const definition = this.definitions.get(name)
    if (definition) return definition
    throw new AsyncGenError(
      'UNKNOWN_TOAST',
      `No toast is called ${JSON.stringify(name)} in this worker. Define it in a module that toasts.ts exports. ` +
        `Defined: ${[...this.definitions.keys()].join(', ') || 'none'}.`,
    )
  }

  /** Runs something once for all who want the same in this process at the same time. Each gets a copy of its own. */
  async share<Result>(what: string, run: () => Promise<Result>): Promise<Result> {
    const running = this.#shared.get(what) ?? run().finally(() => this.#shared.delete(what))
    this.#shared.set(what, running)
    return structuredClone((await running) as Result)
  }

  /** The row a moment later. All who wait for a toast ask once together. */
  later(id: ToastId, pause: number): Promise<ToastRow | undefined> {
    return this.share(`later\0${textOf(id)}`, async () => {
      await sleep(pause)
      return await this.store.read(id)
    })
  }
}

const DEFINED_TWICE = 'DEFINED_TWICE'

/** Where a function of ours was called: the file, the line and the column. */
export function callerOf(ours: (...args: never[]) => unknown): string {
  const holder: { stack?: string } = {}
  Error.captureStackTrace(holder, ours)
  const [, caller = ''] = holder.stack?.split('\n') ?? []
  const place = caller.replace(/^.*\(|^ *at |\)$/g, '').replace('file://', '')
  // Development servers add a query that differs each time.
  return place.replace(/\?.*?(?=:\d+:\d+$)/, '') || 'a place that is not known'
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
    sweptTables(db).add(registry.store)
  }
  return registry
}

/** The name under which the rows of one version of the code are stored: what other code has computed is another entry. */
export function nameWithVersion(baseName: string, version: string | number | undefined): string {
  return version === undefined ? baseName : `${baseName}@${version}`
}

/** @throws AsyncGenError UNKNOWN_OPTION, naming it and what there is */
export function refuseUnknownOptions(owner: string, options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((option) => !known.includes(option))
  if (unknown === undefined) return
  throw new AsyncGenError('UNKNOWN_OPTION', `${owner} has no option "${unknown}". It has: ${known.join(', ')}.`)
}
