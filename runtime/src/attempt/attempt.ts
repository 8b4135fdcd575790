import type { BoundDatabase } from '../core/database.js'
import { refuseUnknownOptions } from '../core/known-options.js'
import { snakeCase } from '../core/names.js'
import type { PrismaClientLike } from '../core/prisma/client.js'
import { type RowId, rowIdOf } from '../core/row-id.js'
import { sweptTables } from '../core/swept-table.js'
import type { Batch, BatchClass, CallIn } from './batches/batch.js'
import { findBatch } from './batches/find.js'
import { recordBatch } from './batches/record.js'
import type {
  AddedFields,
  AttemptBinding,
  AttemptFilter,
  BaseAttemptOptions,
  BulkOptions,
  ClientOf,
  DataOf,
  PerformOptions,
  RescheduleOptions,
  TargetsOf,
} from './binding.js'
import { changeAll } from './bulk.js'
import {
  type AnyCall,
  type AttemptOf,
  type Callee,
  type CallInput,
  type CallOf,
  type DeferredTarget,
  type NotListed,
  type RecordOptions,
  requireCall,
  requireCallAt,
  requireCalls,
  type WithinTransaction,
} from './calls.js'
import { claim } from './claim.js'
import { fromColumn } from './columns.js'
import { Content } from './content.js'
import { type CurrentCall, currentCall } from './current.js'
import { loadPredecessors } from './dependencies/load.js'
import { invalid, rowFilter } from './filter.js'
import { AttemptLifecycle, performClaimed } from './lifecycle.js'
import type { ClaimJob } from './limits/limited-claims.js'
import { type LimitStatus, listLimits, type SetLimitOptions, setLimit } from './limits/limits.js'
import { targetLoaders } from './pause-match.js'
import {
  listPauses,
  type Pause,
  type PausedMethod,
  type PausedTarget,
  type PauseOptions,
  pauseCalls,
  resumeCalls,
} from './pauses.js'
import { recordCalls, standIn } from './recording.js'
import { type Reencryption, reencryptAll } from './reencrypt.js'
import type { AttemptRow, AttemptStatus } from './row.js'
import { OWN_FIELDS } from './row.js'
import type { ScheduleInput } from './schedules/define.js'
import { scheduledModels } from './schedules/models.js'
import { listSchedules, removeSchedule, type ScheduleStatus, setSchedule } from './schedules/rows.js'
import { AttemptStore } from './store.js'
import { classes, rootOf, typesOf } from './subclasses.js'
import { targetLoader } from './target-loader.js'
import type { Targets } from './target-types.js'
import type { TargetList } from './targets.js'

/** A base class for the attempts of one table, bound to a database and to what they may call. */
export function BaseAttempt<Client extends PrismaClientLike, const Model extends string, const T extends Targets>(
  db: BoundDatabase<Client>,
  { model, table, targets, schedules, encryptor, encryptors, priorities = {} }: BaseAttemptOptions<Model, T>,
): AttemptClass<Client, T, AddedFields<Client, Model>> {
  const load = targetLoader(targets)
  const binding = {
    db,
    model,
    targets: load,
    store: new AttemptStore(db, model, table, snakeCase(model), load as () => Promise<TargetList>),
    content: new Content(table, encryptor, encryptors),
    priorities,
  }
  sweptTables(db).add(binding.store)
  targetLoaders(db).set(model, load as () => Promise<TargetList>)
  scheduledModels(db).set(model, { ...binding, schedules })
  return Object.assign(class extends AttemptRecord<AddedFields<Client, Model>> {}, binding)
}

const DEFAULT_LIMIT = 100

function limitOf(options: { limit?: number }, what: string): number {
  refuseUnknownOptions(what, options, ['limit'])
  const { limit = DEFAULT_LIMIT } = options
  if (Number.isInteger(limit) && limit >= 0) return limit
  throw invalid(what, 'limit', limit, 'a whole number')
}

/** Any text, without hiding the known names from an editor's completion. */
type AnyName = string & {}

/** The newest attempts of a status that match: `Attempt.failed({ target: OrderClient })`. */
function scope(status: AttemptStatus) {
  return async function <Class extends AttemptClass>(
    this: Class,
    filter: Omit<AttemptFilter<TargetsOf<Class>, DataOf<Class>>, 'status'> = {},
  ): Promise<InstanceType<Class>[]> {
    return await this.where({ ...filter, status })
  }
}

/** A call recorded in a table, as it was when it was read. Methods that change the row change the object with it. */
export class AttemptRecord<Data = unknown> extends AttemptLifecycle {
  /** Whether `create` found an attempt with the same token instead of making one. */
  readonly duplicate: boolean
  constructor(row: AttemptRow, duplicate = false) {
    super(row)
    this.duplicate = duplicate
  }

  /**
   * Records a call. In a transaction it exists only if that commits, and from then on it is made for certain.
   * @throws TransactionEndedError where the transaction is gone, UnknownTargetError, UnserializableError
   */
  static async create<Class extends AttemptClass, T extends object, const M extends string>(
    this: Class,
    call: CallOf<T, M, TargetsOf<Class>> & RecordOptions<DataOf<Class>>,
    within: WithinTransaction<ClientOf<Class>> = {},
  ): Promise<AttemptOf<InstanceType<Class>, T, M>> {
    requireCall(this.name, call)
    refuseUnknownOptions(`${this.name}.create`, within, ['tx'])
    const [attempt] = await this.createMany([call as never], within)
    return attempt as never
  }

  /** Records any number of calls with one statement, and returns their attempts in the same order. */
  static async createMany<Class extends AttemptClass>(
    this: Class,
    calls: readonly (CallInput<TargetsOf<Class>> & RecordOptions<DataOf<Class>>)[],
    within: WithinTransaction<ClientOf<Class>> = {},
  ): Promise<InstanceType<Class>[]> {
    requireCalls(`${this.name}.createMany`, calls)
    refuseUnknownOptions(`${this.name}.createMany`, within, ['tx'])
    const recorded = await recordCalls(this, calls as readonly AnyCall[], within.tx)
    // A duplicate may be of another class.
    const classOf = await classes(this)
    return recorded.map(({ row, duplicate }) => new (classOf(row))(row, duplicate) as InstanceType<Class>)
  }

  /** A stand-in for the target: calling a method of it records the call. */
  static async<Class extends AttemptClass, const C extends object>(
    this: Class,
    callee: C extends Callee<TargetsOf<Class>> ? C : NotListed,
    { tx, ...options }: RecordOptions<DataOf<Class>> & WithinTransaction<ClientOf<Class>> = {},
  ): DeferredTarget<C, InstanceType<Class>> {
    return standIn(callee as object, (call) => this.create({ ...options, ...call } as never, { tx } as never)) as never
  }

  /** Like `async`, for a call that is to be made at a given time. */
  static schedule<Class extends AttemptClass, const C extends object>(
    this: Class,
    time: Date,
    callee: C extends Callee<TargetsOf<Class>> ? C : NotListed,
    options: Omit<RecordOptions<DataOf<Class>>, 'scheduledAt' | 'debounce'> & WithinTransaction<ClientOf<Class>> = {},
  ): DeferredTarget<C, InstanceType<Class>> {
    const { priority = this.priorities.schedule ?? 20, ...rest } = options
    return this.async(callee as never, { ...rest, priority, scheduledAt: time } as never) as never
  }

  /**
   * Records a group of calls, and `then`, a call that runs when all of them have ended, in whichever way. The row of `then` is there from the
   * beginning, `blocked`. The transaction that ends the last call makes it pending. Without calls, it is pending at once.
   *
   * @throws UnknownTargetError, UnserializableError, TransactionEndedError; AsyncGenError INVALID_OPTION
   */
  static async batch<Class extends AttemptClass>(
    this: Class,
    calls: readonly (CallIn<Class> & { batch?: undefined })[],
    options: BatchOptions<Class> = {},
  ): Promise<Batch<Class>> {
    requireCalls(`${this.name}.batch`, calls)
    refuseUnknownOptions(`${this.name}.batch`, options, ['tx', 'then'])
    const { tx, then } = options
    if (then !== undefined) requireCallAt(`${this.name}.batch: then`, then)
    const { batch } = await recordBatch(this as never, calls as never, then as never, tx as never)
    return batch as never
  }

  /**
   * The batch with that id, or null.
   * @throws AsyncGenError INVALID_ID
   */
  static async findBatch<Class extends AttemptClass>(this: Class, id: RowId): Promise<Batch<Class> | null> {
    return (await findBatch(this as unknown as BatchClass, id)) as never
  }

  /**
   * The attempt with that id, as an instance of its subclass, or null. A subclass finds its own attempts alone.
   * @param id a bigint, a whole number, or its digits as text, as `toJSON` and URLs have it
   * @throws AsyncGenError INVALID_ID
   */
  static async find<Class extends AttemptClass>(this: Class, id: RowId): Promise<InstanceType<Class> | null> {
    const row = await this.store.find(rowIdOf(id, `${this.name}.find`), await typesOf(this))
    return row ? (new ((await classes(this))(row))(row) as InstanceType<Class>) : null
  }

  /**
   * The newest attempts that match. For other queries, use the Prisma model.
   * @throws AsyncGenError INVALID_OPTION for a filter that is not valid
   */
  static async where<Class extends AttemptClass>(
    this: Class,
    filter: AttemptFilter<TargetsOf<Class>, DataOf<Class>>,
    options: { limit?: number } = {},
  ): Promise<InstanceType<Class>[]> {
    const limit = limitOf(options, `${this.name}.where`)
    const rows = await this.store.select(await rowFilter(this, filter, 'where'), limit)
    const classOf = await classes(this)
    return rows.map((row) => new (classOf(row))(row) as InstanceType<Class>)
  }

  /** How many attempts match. */
  static async count<Class extends AttemptClass>(
    this: Class,
    filter: AttemptFilter<TargetsOf<Class>, DataOf<Class>> = {},
  ): Promise<number> {
    return await this.store.count(await rowFilter(this, filter, 'count'))
  }

  /**
   * Makes attempts due again, like `retry`: failed ones, unless the filter names other statuses (failed, expired, cancelled). It works in
   * batches, each committed at once, and leaves out what changes in the meantime. After an error or a crash, call it again.
   *
   * @returns how many attempts it has changed, or with `dryRun` would change
   * @throws AsyncGenError INVALID_OPTION; ROWS_LOCKED if other transactions keep rows locked
   */
  static async retryAll<Class extends AttemptClass>(
    this: Class,
    filter: AttemptFilter<TargetsOf<Class>, DataOf<Class>>,
    options: BulkOptions = {},
  ): Promise<number> {
    return await changeAll(this, 'retry', filter, options)
  }

  /** Cancels attempts that are pending or running, like `cancel`: the signals of running calls abort. For the rest, see `retryAll`. */
  static async cancelAll<Class extends AttemptClass>(
    this: Class,
    filter: AttemptFilter<TargetsOf<Class>, DataOf<Class>>,
    options: BulkOptions = {},
  ): Promise<number> {
    return await changeAll(this, 'cancel', filter, options)
  }

  /** Ends pending attempts as expired, like `expire`. For the rest, see `retryAll`. */
  static async expireAll<Class extends AttemptClass>(
    this: Class,
    filter: AttemptFilter<TargetsOf<Class>, DataOf<Class>>,
    options: BulkOptions = {},
  ): Promise<number> {
    return await changeAll(this, 'expire', filter, options)
  }

  /** Ends pending attempts as failed, like `fail`. For the rest, see `retryAll`. */
  static async failAll<Class extends AttemptClass>(
    this: Class,
    filter: AttemptFilter<TargetsOf<Class>, DataOf<Class>>,
    options: BulkOptions = {},
  ): Promise<number> {
    return await changeAll(this, 'fail', filter, options)
  }

  /** Moves pending attempts to another time. Their `expiresAt` stays. For the rest, see `retryAll`. */
  static async rescheduleAll<Class extends AttemptClass>(
    this: Class,
    filter: AttemptFilter<TargetsOf<Class>, DataOf<Class>>,
    options: RescheduleOptions,
  ): Promise<number> {
    return await changeAll(this, 'reschedule', filter, options ?? {})
  }

  static readonly pending = scope('pending')
  static readonly blocked = scope('blocked')
  static readonly running = scope('running')
  static readonly succeeded = scope('succeeded')
  static readonly failed = scope('failed')
  static readonly expired = scope('expired')
  static readonly cancelled = scope('cancelled')

  /** Inside a call: the attempt, the number of the run, a signal to stop, and a transaction for a call that wants one. */
  static current<Class extends AttemptClass>(this: Class): CurrentCall<InstanceType<Class>, ClientOf<Class>, Class> {
    return currentCall() as never
  }

  /**
   * Performs an attempt by id, as an instance of its subclass; the worker does this. Returns null where it is not pending, not due,
   * paused or gone.
   * @param subclasses classes that extend it and that `defineTargets` does not list
   * @param job set by `attemptTask`: it runs the next call of the job's key, which may be another one
   */
  static async perform<Class extends AttemptClass>(
    this: Class,
    id: RowId,
    { signal, subclasses = [], job }: PerformOptions & { subclasses?: readonly AttemptClass[]; job?: ClaimJob } = {},
  ): Promise<InstanceType<Class> | null> {
    const classOf = await classes(this, subclasses)
    const { claimed } = await claim(this, rowIdOf(id, `${this.name}.perform`), job)
    if (!claimed) return null
    const attempt = new (classOf(claimed.row))(claimed.row) as InstanceType<Class>
    await performClaimed(attempt, claimed, signal)
    return attempt
  }

  /**
   * Stops calls from beginning: all of this model, those of a target, or those of one method. Calls that run go on. The others wait, in
   * their order, and can still be recorded, cancelled and retried. Every worker follows at its next claim. Pausing again replaces
   * `until` and `reason`.
   *
   * @throws UnknownTargetError; AsyncGenError INVALID_OPTION, UNKNOWN_OPTION, INVALID_DURATION
   */
  static async pause<Class extends AttemptClass>(this: Class, options?: PauseOptions): Promise<void>
  static async pause<Class extends AttemptClass, const T extends PausedTarget<TargetsOf<Class>>>(
    this: Class,
    target: T,
    options?: PauseOptions & { method?: PausedMethod<TargetsOf<Class>, T> | undefined },
  ): Promise<void>
  static async pause(this: AttemptClass, ...args: unknown[]): Promise<void> {
    await pauseCalls(this, args)
  }

  /**
   * Ends one pause, given as `pause` got it, and enqueues the calls that waited for it. A target that is no longer listed is given by its
   * name.
   *
   * @returns whether it was paused
   * @throws UnknownTargetError; AsyncGenError UNKNOWN_OPTION
   */
  static async resume<Class extends AttemptClass>(this: Class): Promise<boolean>
  static async resume<Class extends AttemptClass, const T extends PausedTarget<TargetsOf<Class>> | AnyName>(
    this: Class,
    target: T,
    options?: { method?: PausedMethod<TargetsOf<Class>, T> | AnyName | undefined },
  ): Promise<boolean>
  static async resume(this: AttemptClass, ...args: unknown[]): Promise<boolean> {
    return await resumeCalls(this, args)
  }

  /** The pauses of this model that are in force. */
  static async pauses<Class extends AttemptClass>(this: Class): Promise<Pause[]> {
    return await listPauses(this)
  }

  /**
   * Creates or changes a schedule of this model, while workers run: one for each customer, for example. A name that schedule.ts has is
   * refused.
   *
   *     await Attempt.setSchedule(`invoices of ${customer.id}`, {
   *       target: Invoices, method: 'send', args: [customer.id], cron: '0 8 1 * *', tz: customer.timeZone,
   *     })
   *
   * @throws AsyncGenError INVALID_SCHEDULE; UnknownTargetError
   */
  static async setSchedule<Class extends AttemptClass>(
    this: Class,
    name: string,
    schedule: Omit<ScheduleInput<TargetsOf<Class>>, 'model'> & CallInput<TargetsOf<Class>>,
    within: WithinTransaction<ClientOf<Class>> = {},
  ): Promise<void> {
    refuseUnknownOptions(`${this.name}.setSchedule`, within, ['tx'])
    await setSchedule(this, name, schedule as never, within.tx as never)
  }

  /**
   * Removes a schedule that `setSchedule`, SQL or Prisma has created. Workers cancel its attempts that are pending.
   * @returns whether there was one
   * @throws AsyncGenError INVALID_SCHEDULE for a schedule of schedule.ts
   */
  static async removeSchedule<Class extends AttemptClass>(
    this: Class,
    name: string,
    within: WithinTransaction<ClientOf<Class>> = {},
  ): Promise<boolean> {
    refuseUnknownOptions(`${this.name}.removeSchedule`, within, ['tx'])
    return await removeSchedule(this, name, within.tx as never)
  }

  /** The schedules of this model, with their last and next occurrences, by name: those of schedule.ts, and the others. */
  static async schedules<Class extends AttemptClass>(this: Class): Promise<ScheduleStatus[]> {
    return await listSchedules(this.db, { model: this.model })
  }

  /**
   * Changes the numbers of a limit, for all keys or for one. Every worker follows at its next claim, and calls that may start now do. It
   * lasts until it is changed again: `concurrency: null` is the number in `targets.ts`.
   *
   *     await Attempt.setLimit(Shopify, { key: 'acme', concurrency: 5 })
   *
   * @throws UnknownTargetError; AsyncGenError INVALID_OPTION if `targets.ts` has no such limit, UNKNOWN_OPTION, INVALID_DURATION
   */
  static async setLimit<Class extends AttemptClass, const T extends PausedTarget<TargetsOf<Class>>>(
    this: Class,
    target: T,
    options: SetLimitOptions & { method?: PausedMethod<TargetsOf<Class>, T> | undefined },
  ): Promise<void> {
    await setLimit(this, target as object | string, options)
  }

  /** The limits of `targets.ts` with what `setLimit` has changed: what is full, and who waits. */
  static async limits<Class extends AttemptClass>(this: Class): Promise<LimitStatus[]> {
    return await listLimits(this)
  }

  /** Re-encrypts rows whose encryptor is not the current one. An older key can be removed once nothing is left. */
  static async reencrypt<Class extends AttemptClass>(
    this: Class,
    { batch = 500 }: { batch?: number } = {},
  ): Promise<Reencryption> {
    return await reencryptAll(this.db, this.store.table, this.content, batch)
  }

  /** The values of the columns that you have added to the model, as the PrismaClient gives them. */
  get data(): Data {
    const { db, model } = this.#class
    const fields = db.fieldsOf(model).filter(({ name }) => !OWN_FIELDS.some((own) => own === name))
    return Object.fromEntries(fields.map((field) => [field.name, fromColumn(field, this.row[field.column])])) as Data
  }

  /** What the row's target names in `targets.ts`: the class, the object of functions, or the records of a model. */
  async targetObject(): Promise<object> {
    return (await this.#class.targets()).find(this.target)
  }

  /** The attempts that were recorded while this one ran, the newest first. */
  async children(): Promise<this[]> {
    return (await rootOf(this.#class).where({ parent: this }, { limit: Number.MAX_SAFE_INTEGER })) as this[]
  }

  /** The attempt that ran when this one was recorded. */
  async parent(): Promise<this | null> {
    return this.parentId === null ? null : ((await rootOf(this.#class).find(this.parentId)) as this | null)
  }

  /** The attempts that the option `after` named, in that order. Null for those that were deleted. */
  async predecessors(): Promise<readonly (this | null)[]> {
    return (await loadPredecessors<this>(this)).attempts
  }

  /** The attempts that wait, or have waited, for this one, the oldest first. */
  async dependents(): Promise<this[]> {
    const Attempt = rootOf(this.#class)
    const rows = await Attempt.store.dependencies.dependents(this.id, Number.MAX_SAFE_INTEGER)
    const classOf = await classes(Attempt)
    return rows.map((row) => new (classOf(row))(row) as this)
  }

  get #class(): AttemptClass {
    return this.constructor as AttemptClass
  }
}

export interface BatchOptions<Class> extends WithinTransaction<ClientOf<Class>> {
  /** The call that runs when all calls of the batch have ended. In it, `Attempt.current().batch` is the batch. */
  then?: (CallIn<Class> & { after?: undefined; batch?: undefined }) | undefined
}

/** What `BaseAttempt` returns, and what every class of attempts extends. */
// biome-ignore lint/suspicious/noExplicitAny: without arguments it stands for every class of attempts
export type AttemptClass<Client extends PrismaClientLike = any, T extends Targets = any, Data = any> = AttemptBinding<
  Client,
  T
> &
  Pick<typeof AttemptRecord, keyof typeof AttemptRecord> & {
    new (row: AttemptRow, duplicate?: boolean): AttemptRecord<Data>
  }
