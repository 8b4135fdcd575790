import type { BoundDatabase, Database } from '../core/database.js'
import { type Duration, milliseconds } from '../core/duration.js'
import { AsyncGenError } from '../core/errors.js'
import {
  delegateOf,
  type ModelOf,
  type PrismaClientLike,
  type RecordOf,
  type TransactionLike,
} from '../core/prisma/client.js'
import { isTransactionOpen, warnOfForgottenTransaction } from '../core/prisma/open-transactions.js'
import { MAX_BYTES } from '../core/serialize.js'
import { idOf, type KeyFields, keyOf, valuesOf } from './key.js'
import { type NotReady, notReady, type Reading, readingOf, refuseReservedKey } from './reading.js'
import { obtain, refreshToast } from './refresh.js'
import { type Computation, callerOf, nameWithVersion, type Origin, refuseUnknownOptions, toastsOf } from './registry.js'
import { type CachedToast, OutdatedParents, requirePolicy, type Staleness, versionOf } from './staleness.js'
import type { Request, ToastId, ToastRow } from './store.js'

/** How a toast is computed and when it counts as stale. */
export interface ToastOptions<Parent, Result, Placeholder = NotReady, Loaded = Parent, Id = never>
  extends Computed<Result, Placeholder, Loaded, Id>,
    Staleness<Parent> {}

/** All but what tells when a value is stale by its parent. */
interface Computed<Result, Placeholder, Loaded, Id> {
  /**
   * How the worker finds the parent again, with relations if you like; `compute` gets what it returns, so write it above
   * `compute`. Default: the model's record with that key.
   */
  load?: (id: Id) => Promise<Loaded | null>
  /** The slow method. Throw in it, and the old value stays while it is tried again. */
  compute: (parent: Loaded, computation: Computation) => Result | Promise<Result>
  /** What a read returns while there is no value yet. Default: `{ error: 'Data not yet available' }`. */
  placeholder?: Placeholder
  /** How old a stale value may be and still be served; an older one counts as none. Default: any age. */
  maxStale?: Duration
  /** Stale when older than this. */
  expireIn?: Duration
  /** Change it when `compute` changes so much that its old values must not be served. Default: none. */
  version?: string | number
  /** How large a value may be, as JSON. Default: 8 MB. */
  maxBytes?: number
}

/** How a toast is read. */
export interface ReadOptions {
  /** How long to wait for a value when there is none yet. Default: not at all. */
  wait?: Duration
  /** A transaction of yours: what is asked for in it happens only if it commits. */
  tx?: TransactionLike
}

/** A cached method: reads return at once with what is there, and a worker computes what is missing or stale. */
export interface Toast<Parent, Result, Placeholder = NotReady, Loaded = Parent> {
  (parent: Parent, options?: ReadOptions): Promise<Reading<Result, Placeholder>>
  /** The name under which its rows are stored: `oat.breakfast`. */
  readonly toastName: string
  /** The key under which a parent's row is stored, as SQL makes it: `to_jsonb("id")::text`. */
  keyOf(parent: Parent): string
  /** The slow method itself; nothing is read or stored. */
  compute(parent: Loaded, computation?: Computation): Promise<Result>
  /** Reads the toasts of many parents: one query, and at most one statement that asks for refreshes. */
  many(parents: readonly Parent[], options?: ReadOptions): Promise<Reading<Result, Placeholder>[]>
  /**
   * A value that is not stale, computed now if it has to be: here, or by whoever computes it already.
   * @throws what `compute` threw
   */
  fresh(parent: Parent): Promise<Reading<Result, never>>
  /** What is cached, without asking for a refresh. */
  peek(parent: Parent): Promise<Reading<Result, Placeholder>>
  /** Whether there is no value, or a stale one. */
  isStale(parent: Parent): Promise<boolean>
  /** Makes the value stale and asks for a refresh: with `tx`, only if that commits. */
  expire(parent: Parent, options?: Pick<ReadOptions, 'tx'>): Promise<void>
}

/** What a loader is given: the key's value; of a composite key, its fields. Prisma takes a number for a BigInt. */
export type IdOf<Parent, Fields> = Fields extends keyof Parent
  ? Parent[Fields] extends bigint
    ? number | bigint
    : Parent[Fields]
  : Fields extends readonly (infer Field)[]
    ? { [K in Field & keyof Parent]: IdOf<Parent, K> }
    : never

type FieldOf<Parent> = keyof Parent & string

type KeyFieldsOf<Fields> = Fields extends readonly (infer Field)[] ? Field : Fields

/** What a toast is read with: its key and `updatedAt` are enough, unless `expireIf` is to see the record. */
type RowOf<Parent, Fields, Stale> = [Stale] extends [never]
  ? Pick<Parent, (KeyFieldsOf<Fields> | 'updatedAt') & keyof Parent>
  : Parent

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
  Loaded = RecordOf<Client[Model]>,
  const Fields extends FieldOf<RecordOf<Client[Model]>> | readonly FieldOf<RecordOf<Client[Model]>>[] = 'id' &
    FieldOf<RecordOf<Client[Model]>>,
  Stale extends boolean | Promise<boolean> = never,
>(
  db: BoundDatabase<Client>,
  model: Model,
  name: string,
  options: Computed<Result, Placeholder, Loaded, IdOf<RecordOf<Client[Model]>, Fields>> & {
    /** Stale when this says so; it may ask the database. The parent is the record that the toast is read with. */
    expireIf?: (toast: CachedToast<RecordOf<Client[Model]>>, parent: RecordOf<Client[Model]>) => Stale
    /** The fields of the model's key, where it is not `id`: `'slug'`, or `['aisle', 'level']`. */
    id?: Fields
  },
): Toast<RowOf<RecordOf<Client[Model]>, Fields, Stale>, Result, Placeholder, Loaded> {
  refuseUnknownOptions(`The toast ${model}.${name}`, options, [...OPTIONS, 'id'])
  delegateOf(db.prisma, model)
  const { id: fields = 'id' as KeyFields, ...rest } = options
  return define(db, `${model}.${name}`, {
    ...(rest as ToastOptions<RowOf<RecordOf<Client[Model]>, Fields, Stale>, Result, Placeholder, Loaded>),
    load: options.load ?? ((id: unknown) => db.findRecord(model, fieldsOf(id, fields)) as Promise<Loaded | null>),
    fields,
    wholeNumbers: wholeNumbersOf(db, model),
    living: async (keys) => {
      const records = await db.existing(
        model,
        keys.map((key) => valuesOf(key, fields)),
      )
      return new Set(records.map((record) => keyOf(name, record, fields)))
    },
    task: 'refresh_toast',
    origin: { place: callerOf(hasToast), code: String(options.compute) },
  })
}

function wholeNumbersOf(db: Database, property: string): ReadonlySet<string> {
  const names = [property, property.charAt(0).toUpperCase() + property.slice(1)]
  const fields = names.flatMap((name) => db.fieldsOf(name)).filter(({ type }) => type === 'Int' || type === 'BigInt')
  return new Set(fields.map(({ name }) => name))
}

function fieldsOf(id: unknown, fields: KeyFields): object {
  return typeof fields === 'string' ? { [fields]: id } : (id as object)
}

/**
 * A toast of any parent that has an `id` and can be loaded by it; `hasToast` is the form for Prisma models.
 *
 * @param task the Graphile Worker task that refreshes it
 * @param origin where it is defined, if that is not where this is called
 */
export function defineToast<Parent, Result, Placeholder = NotReady, Loaded = Parent>(
  db: Database,
  name: string,
  options: ToastOptions<Parent, Result, Placeholder, Loaded> & {
    load: (id: never) => Promise<Loaded | null>
    /** Which of these keys have a parent; the toasts of the others are pruned. */
    living?: (keys: string[]) => Promise<Set<string>>
  },
  task = 'refresh_toast',
  origin: Origin = { place: callerOf(defineToast), code: String(options.compute) },
): Toast<Parent, Result, Placeholder, Loaded> {
  refuseUnknownOptions(`The toast ${name}`, options, [...OPTIONS, 'living'])
  return define(db, name, { ...options, fields: 'id', task, origin })
}

interface Definition {
  load: (id: never) => Promise<unknown>
  fields: KeyFields
  /** Those of the model's fields that are whole numbers. */
  wholeNumbers?: ReadonlySet<string>
  task: string
  origin: Origin
  living?: ((keys: string[]) => Promise<Set<string>>) | undefined
}

const OPTIONS = ['load', 'compute', 'expireIn', 'expireIf', 'placeholder', 'maxStale', 'version', 'maxBytes']

function define<Parent, Result, Placeholder, Loaded, Id>(
  db: Database,
  baseName: string,
  options: Omit<ToastOptions<Parent, Result, Placeholder, Loaded, Id>, 'load'> & Definition,
): Toast<Parent, Result, Placeholder, Loaded> {
  if (typeof options.compute !== 'function') {
    throw new AsyncGenError('INVALID_TOAST', `The toast ${baseName} needs a function \`compute\`: the slow method.`)
  }
  for (const option of ['expireIn', 'maxStale'] as const) {
    const duration = options[option]
    if (duration !== undefined) milliseconds(duration, `${option} of ${baseName}`)
  }
  if (options.expireIf !== undefined && typeof options.expireIf !== 'function')
    throw new AsyncGenError('INVALID_TOAST', `expireIf of ${baseName} is no function.`)

  const registry = toastsOf(db)
  const { store } = registry
  const { fields, wholeNumbers, task, origin, maxBytes = MAX_BYTES } = options
  const name = nameWithVersion(baseName, options.version)

  registry.define({
    ...origin,
    name,
    baseName,
    maxBytes,
    living: options.living,
    prepare: async ({ key }) => {
      const parent = await options.load(idOf(key, fields) as never)
      if (parent === null || parent === undefined) return null
      return {
        version: versionOf(parent),
        compute: async (computation) => {
          const value = await options.compute(parent as Loaded, computation)
          refuseReservedKey(baseName, value)
          return value
        },
      }
    },
  })

  const key = (parent: Parent) => keyOf(baseName, parent, fields, wholeNumbers)
  const placeOf = (parent: Parent): ToastId => ({ name, key: key(parent) })
  const requestOf = (parent: Parent): Request => ({ ...placeOf(parent), task, version: versionOf(parent) })
  const placeholderOf = (row: ToastRow | undefined) => (options.placeholder ?? notReady(row)) as Placeholder
  const outdated = new OutdatedParents()
  const readingFor = (
    row: ToastRow | undefined,
    parent: Parent,
    policy: Staleness<Parent> & { maxStale?: Duration },
  ) => {
    const isOutdated = (version: string, seen: ToastRow) => outdated.isKnown(key(parent), version, seen)
    return readingOf<Result, Parent>(baseName, row, parent, policy, isOutdated)
  }
  const { maxStale: _, ...withoutLimit } = options
  const interpret = (row: ToastRow | undefined, parent: Parent) => {
    requirePolicy(baseName, parent, options)
    return readingFor(row, parent, options)
  }

  const read = async (parent: Parent, { wait, tx }: ReadOptions = {}): Promise<Reading<Result, Placeholder>> => {
    const limit = wait === undefined ? undefined : milliseconds(wait, 'wait')
    let row = await store.read(placeOf(parent), tx)
    const seen = interpret(row, parent)
    let reading = seen instanceof Promise ? await seen : seen
    if (reading && !reading.toastr.stale) return reading
    const request = requestOf(parent)
    if (isNews(row, request.version)) await store.request(request, row?.run ?? 0, tx)
    if (registry.inline && !tx) {
      await refreshToast(db, request)
      row = await store.read(request)
      reading = await interpret(row, parent)
    }
    return reading ?? (limit === undefined ? placeholderOf(row) : waitFor(parent, row, performance.now() + limit))
  }

  // A failure ends the wait: the next try comes later than anybody would wait for.
  const waitFor = async (parent: Parent, seen: ToastRow | undefined, deadline: number) => {
    let row = seen
    for (let pause = 10; ; pause = Math.min(pause * 1.5, 250)) {
      const reading = await interpret(row, parent)
      if (reading) return reading
      const left = deadline - performance.now()
      if (left <= 0 || failuresOf(row) > failuresOf(seen)) return placeholderOf(row)
      row = await registry.later({ name, key: key(parent) }, Math.min(pause, left))
    }
  }

  return Object.assign(read, {
    toastName: name,
    keyOf: key,
    compute: async (parent: Loaded, computation: Computation = alone()) => await options.compute(parent, computation),
    many: (parents: readonly Parent[], options?: ReadOptions) =>
      Promise.all(parents.map((parent) => read(parent, options))),
    fresh: async (parent: Parent) => {
      const isFresh = async (row: ToastRow) => (await interpret(row, parent))?.toastr.stale === false
      const row = await obtain(db, requestOf(parent), isFresh, 'later')
      // What has just been computed is served, whatever has changed meanwhile.
      return (await interpret(row, parent)) ?? (await readingFor(row, parent, withoutLimit))!
    },
    peek: async (parent: Parent) => {
      const row = await store.read(placeOf(parent))
      return (await interpret(row, parent)) ?? placeholderOf(row)
    },
    isStale: async (parent: Parent) => {
      return (await interpret(await store.read(placeOf(parent)), parent))?.toastr.stale ?? true
    },
    expire: async (parent: Parent, { tx }: Pick<ReadOptions, 'tx'> = {}) => {
      if (!tx && isTransactionOpen(db.prisma)) warnOfForgottenTransaction(`The toast ${baseName} was expired`)
      await store.expire(requestOf(parent), tx)
    },
  })
}

/** Whether a refresh has to be asked for; the statement that asks decides it again, for all processes. */
function isNews(row: ToastRow | undefined, version: string | null): boolean {
  if (!row?.refresh?.wanted) return true
  const { locked_by, behind, wanted_version } = row.refresh
  // One that waits will see all that has changed until it begins.
  if (locked_by === null) return false
  return behind || (version !== null && (wanted_version ?? '') < version)
}

function failuresOf(row: ToastRow | undefined): number {
  return row?.refresh?.failures ?? 0
}

/** For a computation that no reader waits for. */
function alone(): Computation {
  return { signal: new AbortController().signal, progress: () => {} }
}
