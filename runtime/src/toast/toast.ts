import { setTimeout as sleep } from 'node:timers/promises'
import type { BoundDatabase, Database, PrismaClientLike } from '../database.js'
import { type Duration, milliseconds } from '../duration.js'
import { AsyncGenError, type ErrorRecord } from '../errors.js'
import { deserialize } from '../serialize.js'
import { keptTables } from '../upkeep.js'
import { idOf, keyOf } from './key.js'
import { type CachedToast, isStale, type Staleness, versionOf } from './staleness.js'
import { type ToastRow, ToastStore } from './store.js'

/** What the toast says about the value that it comes with. */
export interface Toastr {
  /** How long the computation took, in seconds. */
  elapsed: number
  /** When the computation began. */
  cached_at: Date
  /** Whether the value is out of date; if so, a refresh is on its way. */
  stale: boolean
  /** Why the last refresh failed; absent when it did not. */
  error?: ErrorRecord
}

/** A value and what is known of it. A result that is no plain object stands under `value`. */
export type Ready<Result> = (Result extends readonly unknown[] | Date | Map<unknown, unknown> | Set<unknown>
  ? { value: Result }
  : Result extends object
    ? Result
    : { value: Result }) & { toastr: Toastr }

/** What is returned while there is no value yet. */
export interface NotReady {
  error: string
  toastr?: never
}

export type Reading<Result, Placeholder = NotReady> = Ready<Result> | Placeholder

export interface ToastOptions<Parent, Result, Placeholder = NotReady> extends Staleness<Parent> {
  /** The slow method. */
  compute: (parent: Parent) => Result | Promise<Result>
  /** How the worker finds the parent again. Default: `findUnique` by id. */
  load?: (id: never) => Promise<Parent | null>
  /** What a read returns while there is no value yet. Default: `{ error: 'Data not yet available' }`. */
  placeholder?: Placeholder
}

export interface ReadOptions {
  /** How long to wait for a value when there is none yet. Default: not at all. */
  wait?: Duration
}

/** A cached method: reads return at once with what is there, and a worker computes what is missing or stale. */
export interface Toast<Parent, Result, Placeholder = NotReady> {
  (parent: Parent, options?: ReadOptions): Promise<Reading<Result, Placeholder>>
  /** The name under which its rows are stored: `oat.breakfast`. */
  readonly toastName: string
  /** The slow method itself. */
  compute(parent: Parent): Promise<Result>
  /** What is cached, without asking for a refresh. */
  peek(parent: Parent): Promise<Reading<Result, Placeholder>>
  /** Whether there is no value, or a stale one. */
  isStale(parent: Parent): Promise<boolean>
  /** Asks for a refresh, whatever the age of the value. */
  expire(parent: Parent): Promise<void>
}

/** How the worker computes a toast from no more than its key. */
export interface ToastDefinition {
  name: string
  load(key: string): Promise<unknown>
  compute(parent: unknown): Promise<unknown>
}

/** The models of a client, by the names of its properties. */
export type ModelOf<Client> = {
  [K in keyof Client]: Client[K] extends { findUnique: unknown } ? K : never
}[keyof Client] &
  string

/** The scalar fields of a model's record. */
export type RecordOf<Delegate> = Delegate extends { [K: symbol]: { types: { payload: { scalars: infer Scalars } } } }
  ? Scalars
  : never

const DEFAULT_PLACEHOLDER: NotReady = { error: 'Data not yet available' }
const POLL_EVERY = 25

/**
 * Makes a slow method of a model a cached one. The first read finds nothing and returns a placeholder; later ones return the
 * value that is there, while a worker refreshes it when it is stale.
 *
 * @param model the model's property on the PrismaClient: `oat` for `prisma.oat`
 * @param name the method's name; with the model's it is where the values are stored
 */
export function hasToast<
  Client extends PrismaClientLike,
  Model extends ModelOf<Client>,
  Result,
  Placeholder = NotReady,
>(
  db: BoundDatabase<Client>,
  model: Model,
  name: string,
  options: ToastOptions<RecordOf<Client[Model]>, Result, Placeholder>,
): Toast<RecordOf<Client[Model]>, Result, Placeholder> {
  const find = async (id: unknown) =>
    (await delegateOf(db, model).findUnique({ where: { id } })) as RecordOf<Client[Model]> | null
  return defineToast(db, `${model}.${name}`, { ...options, load: options.load ?? find })
}

/** Whether a read brought a value. */
export function isReady<Result extends object>(reading: Result): reading is Extract<Result, { toastr: Toastr }> {
  return 'toastr' in reading
}

const registries = new WeakMap<Database, ToastRegistry>()

class ToastRegistry {
  readonly store: ToastStore
  readonly definitions = new Map<string, ToastDefinition>()

  constructor(db: Database) {
    this.store = new ToastStore(db)
    keptTables(db).add(this.store)
  }
}

/** The toasts that this process knows of. */
export function toastsOf(db: Database): ToastRegistry {
  let registry = registries.get(db)
  if (!registry) {
    registry = new ToastRegistry(db)
    registries.set(db, registry)
  }
  return registry
}

const OPTIONS = ['compute', 'load', 'expireIn', 'expireIf', 'placeholder']

/**
 * A toast of any parent that has an `id` and can be loaded by it; `hasToast` is the form for Prisma models.
 *
 * @param task the Graphile Worker task that refreshes it
 */
export function defineToast<Parent, Result, Placeholder = NotReady>(
  db: Database,
  name: string,
  options: ToastOptions<Parent, Result, Placeholder> & { load: (id: never) => Promise<Parent | null> },
  task = 'refresh_toast',
): Toast<Parent, Result, Placeholder> {
  const unknown = Object.keys(options).find((option) => !OPTIONS.includes(option))
  if (unknown) {
    throw new AsyncGenError(
      'UNKNOWN_OPTION',
      `The toast ${name} has no option "${unknown}". It has: ${OPTIONS.join(', ')}.`,
    )
  }
  if (typeof options.compute !== 'function') {
    throw new AsyncGenError('INVALID_TOAST', `The toast ${name} needs a function \`compute\`: the slow method.`)
  }
  if (options.expireIn !== undefined) milliseconds(options.expireIn)

  const { store, definitions } = toastsOf(db)
  const placeholder = (options.placeholder ?? DEFAULT_PLACEHOLDER) as Placeholder
  const compute = async (parent: Parent) => await options.compute(parent)
  definitions.set(name, { name, load: (key) => options.load(idOf(key) as never), compute: compute as never })

  const peek = async (parent: Parent) => {
    const row = await store.read({ name, key: keyOf(name, parent) })
    const cached = row && cachedToast(row)
    return cached ? { row, reading: ready<Result>(row, isStale(cached, parent, options)) } : { row, reading: undefined }
  }

  const read = async (parent: Parent, { wait }: ReadOptions = {}): Promise<Reading<Result, Placeholder>> => {
    const { row, reading } = await peek(parent)
    if (reading && !reading.toastr.stale) return reading
    const version = versionOf(parent)
    if (mayRequest(row, version)) await store.request({ name, key: keyOf(name, parent) }, { task, version })
    if (reading) return reading
    return wait === undefined ? placeholder : await waitFor(parent, Date.now() + milliseconds(wait))
  }

  const waitFor = async (parent: Parent, deadline: number): Promise<Reading<Result, Placeholder>> => {
    const { reading } = await peek(parent)
    if (reading) return reading
    if (Date.now() >= deadline) return placeholder
    await sleep(Math.min(POLL_EVERY, deadline - Date.now()))
    return waitFor(parent, deadline)
  }

  return Object.assign(read, {
    toastName: name,
    compute,
    peek: async (parent: Parent) => (await peek(parent)).reading ?? placeholder,
    isStale: async (parent: Parent) => (await peek(parent)).reading?.toastr.stale ?? true,
    expire: async (parent: Parent) => {
      await store.request({ name, key: keyOf(name, parent) }, { task, version: versionOf(parent) })
    },
  })
}

/** Whether a refresh has to be asked for; the statement that asks decides it again, for all processes. */
function mayRequest(row: ToastRow | undefined, version: string | null): boolean {
  return !row?.refresh_at || (row.locked_by !== null && row.wanted_version !== version)
}

function cachedToast({ name, cached_at, elapsed, version }: ToastRow): CachedToast | undefined {
  return cached_at === null || elapsed === null ? undefined : { name, cachedAt: cached_at, elapsed, version }
}

function ready<Result>(row: ToastRow, stale: boolean): Ready<Result> {
  const value = deserialize(row.value)
  const toastr: Toastr = { elapsed: row.elapsed!, cached_at: row.cached_at!, stale }
  if (row.error) toastr.error = row.error
  return (isPlainObject(value) ? { ...value, toastr } : { value, toastr }) as Ready<Result>
}

function isPlainObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

interface Delegate {
  findUnique(args: { where: { id: unknown } }): Promise<unknown>
}

function delegateOf(db: Database, model: string): Delegate {
  const delegate = (db.prisma as Record<string, Delegate | undefined>)[model]
  if (typeof delegate?.findUnique === 'function') return delegate
  throw new AsyncGenError('UNKNOWN_MODEL', `The PrismaClient has no model "${model}".`)
}
