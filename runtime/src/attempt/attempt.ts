import { backoff } from '../backoff.js'
import type { BoundDatabase } from '../database.js'
import { milliseconds, secondsSince } from '../duration.js'
import { DecryptionError, describeError, InvalidStateError, isInstance, PermanentError } from '../errors.js'
import { snakeCase } from '../names.js'
import type { PrismaClientLike } from '../prisma.js'
import { type Telling, tell, type Outcome as Verdict } from '../telemetry.js'
import { keptTables } from '../upkeep.js'
import type { AnyCall, Callee, CallInput, Deferred, RecordOptions, WithinTransaction } from './calls.js'
import { cancellable } from './cancel.js'
import { type Claimed, claim } from './claim.js'
import { fromColumn } from './columns.js'
import { Content } from './content.js'
import { Call, currentCall } from './current.js'
import { AttemptFields } from './fields.js'
import { type Outcome, perform } from './perform.js'
import { recordCalls, standIn } from './recording.js'
import { type Reencryption, reencryptAll } from './reencrypt.js'
import {
  type AttemptError,
  type AttemptRow,
  type AttemptStatus,
  AttemptStore,
  type Failure,
  type Filter,
  type Run,
} from './store.js'
import { type Targets, targetLoader } from './targets.js'
import {
  type AddedFields,
  type AttemptClass,
  type AttemptFilter,
  type BaseAttemptOptions,
  type ClientOf,
  type DataOf,
  HIDDEN_FIELDS,
  type PerformOptions,
  type TargetsOf,
} from './types.js'
import { type WaitOptions, waitFor } from './wait.js'

/** A base class for the attempts of one table, bound to a database and to what they may call. */
export function BaseAttempt<Client extends PrismaClientLike, const Model extends string, const T extends Targets>(
  db: BoundDatabase<Client>,
  { model, table, targets, encryptor, encryptors }: BaseAttemptOptions<Model, T>,
): AttemptClass<Client, T, AddedFields<Client, Model>> {
  const binding = {
    db,
    model,
    targets: targetLoader(targets),
    store: new AttemptStore(db, table, snakeCase(model)),
    content: new Content(table, encryptor, encryptors),
  }
  keptTables(db).add(binding.store)
  return Object.assign(class extends AttemptRecord<AddedFields<Client, Model>> {}, binding)
}

const DEFAULT_LIMIT = 100

/** The newest attempts of a status that match: `Attempt.failed({ target: OrderClient })`. */
function scope(status: AttemptStatus) {
  return async function <Class extends AttemptClass>(
    this: Class,
    filter: Omit<AttemptFilter<TargetsOf<Class>>, 'status'> = {},
  ): Promise<InstanceType<Class>[]> {
    return await this.where({ ...filter, status })
  }
}

/** A call recorded in a table, as it was when it was read. Methods that change the row change the object with it. */
export class AttemptRecord<Data = unknown> extends AttemptFields {
  /** Whether `create` found an attempt with the same token instead of making one. */
  readonly duplicate: boolean
  #running: { run: Run; started: number; stopping: AbortSignal | undefined } | undefined

  constructor(row: AttemptRow, duplicate = false) {
    super(row)
    this.duplicate = duplicate
  }

  /**
   * Records a call. In a transaction it exists only if that commits, and from then on it is made for certain.
   * @throws TransactionEndedError where the transaction is gone, UnknownTargetError, UnserializableError
   */
  static async create<Class extends AttemptClass>(
    this: Class,
    call: CallInput<TargetsOf<Class>> & RecordOptions<DataOf<Class>>,
    within: WithinTransaction<ClientOf<Class>> = {},
  ): Promise<InstanceType<Class>> {
    const [attempt] = await this.createMany([call], within)
    return attempt!
  }

  /** Records any number of calls with one statement, and returns their attempts in the same order. */
  static async createMany<Class extends AttemptClass>(
    this: Class,
    calls: readonly (CallInput<TargetsOf<Class>> & RecordOptions<DataOf<Class>>)[],
    { tx }: WithinTransaction<ClientOf<Class>> = {},
  ): Promise<InstanceType<Class>[]> {
    const recorded = await recordCalls(this, calls as readonly AnyCall[], tx)
    return recorded.map(({ row, duplicate }) => new this(row, duplicate) as InstanceType<Class>)
  }

  /** A stand-in for the target: calling a method of it records the call. */
  static async<Class extends AttemptClass, const C extends Callee<TargetsOf<Class>>>(
    this: Class,
    callee: C,
    { tx, ...options }: RecordOptions<DataOf<Class>> & WithinTransaction<ClientOf<Class>> = {},
  ): Deferred<C, InstanceType<Class>> {
    return standIn(callee, (call) => this.create({ ...options, ...call } as never, { tx } as never)) as never
  }

  /** Like `async`, for a call that is to be made at a given time. */
  static schedule<Class extends AttemptClass, const C extends Callee<TargetsOf<Class>>>(
    this: Class,
    time: Date,
    callee: C,
    options: Omit<RecordOptions<DataOf<Class>>, 'scheduledAt'> & WithinTransaction<ClientOf<Class>> = {},
  ): Deferred<C, InstanceType<Class>> {
    const { priority = 20, ...rest } = options
    return this.async(callee as never, { ...rest, priority, scheduledAt: time } as never) as never
  }

  /** The attempt with that id, or null. */
  static async find<Class extends AttemptClass>(this: Class, id: bigint | number): Promise<InstanceType<Class> | null> {
    const row = await this.store.find(BigInt(id))
    return row ? (new this(row) as InstanceType<Class>) : null
  }

  /** The newest attempts that match. For all else there is the Prisma model. */
  static async where<Class extends AttemptClass>(
    this: Class,
    filter: AttemptFilter<TargetsOf<Class>>,
    { limit = DEFAULT_LIMIT }: { limit?: number } = {},
  ): Promise<InstanceType<Class>[]> {
    const rows = await this.store.select(await storedFilter(this, filter), limit)
    return rows.map((row) => new this(row) as InstanceType<Class>)
  }

  static async count<Class extends AttemptClass>(
    this: Class,
    filter: AttemptFilter<TargetsOf<Class>> = {},
  ): Promise<number> {
    return await this.store.count(await storedFilter(this, filter))
  }

  static readonly pending = scope('pending')
  static readonly running = scope('running')
  static readonly succeeded = scope('succeeded')
  static readonly failed = scope('failed')
  static readonly expired = scope('expired')
  static readonly cancelled = scope('cancelled')

  /** Inside a call: the attempt, the number of the run, a signal to stop, and a transaction for a call that wants one. */
  static current<Class extends AttemptClass>(this: Class): Call<InstanceType<Class>, ClientOf<Class>> {
    return currentCall() as never
  }

  /**
   * Performs an attempt by id; the worker does this. Returns null where it is not pending, not due, or gone.
   * @param subclasses classes whose attempts are performed as what they are, hooks and all
   */
  static async perform<Class extends AttemptClass>(
    this: Class,
    id: bigint,
    { signal, subclasses = [] }: PerformOptions & { subclasses?: readonly AttemptClass[] } = {},
  ): Promise<InstanceType<Class> | null> {
    const claimed = await claim(this, id)
    if (!claimed) return null
    const Type = subclasses.find(({ name }) => name === claimed.row.type) ?? this
    const attempt = new Type(claimed.row) as InstanceType<Class>
    // What its hook throws is told, and is no reason to make the call again.
    await attempt.#run(claimed, signal)
    return attempt
  }

  /** Encrypts everything anew that was encrypted otherwise than new rows are. An older key may go once nothing is left. */
  static async reencrypt<Class extends AttemptClass>(
    this: Class,
    { batch = 500 }: { batch?: number } = {},
  ): Promise<Reencryption> {
    return await reencryptAll(this.store, this.content, batch)
  }

  /** The values of the columns that you have added to the model, as the PrismaClient gives them. */
  get data(): Data {
    const { db, model } = this.#class
    const own = (field: string) => field in AttemptFields.prototype || HIDDEN_FIELDS.some((hidden) => hidden === field)
    const fields = db.fieldsOf(model).filter(({ name }) => !own(name))
    return Object.fromEntries(fields.map((field) => [field.name, fromColumn(field, this.row[field.column])])) as Data
  }

  /** The attempts that were recorded while this one ran, the newest first. */
  async children(): Promise<this[]> {
    return (await this.#class.where({ parent: this }, { limit: Number.MAX_SAFE_INTEGER })) as this[]
  }

  /** The attempt that ran when this one was recorded. */
  async parent(): Promise<this | null> {
    return this.parentId === null ? null : ((await this.#class.find(this.parentId)) as this | null)
  }

  /**
   * Makes the call now, if it is due. What the call writes through `Attempt.current().tx()` happens exactly once; its other
   * effects happen at least once: a run whose process dies is made again.
   *
   * @returns whether the call was made; one that is not due is left alone
   * @throws InvalidStateError unless the attempt is pending; and what `handlePerformError` throws
   */
  async perform({ signal }: PerformOptions = {}): Promise<boolean> {
    const claimed = await claim(this.#class, this.id)
    if (!claimed) {
      await this.reload()
      if (!this.isPending) throw this.#invalidState('perform')
      return false
    }
    const hook = await this.#run(claimed, signal)
    if (hook) throw hook.thrown
    return true
  }

  /**
   * Every failed run ends here. The default records the error and tries again after `retryDelay`, or fails the attempt: when
   * it was the last run that it has, when the call threw a PermanentError, and when its content does not decrypt. Override
   * it to alert somebody, and call `super`.
   */
  async handlePerformError(error: unknown): Promise<void> {
    if (!this.#running) throw new InvalidStateError(`${this.#label} is not running, so no error of it can be handled.`)
    const { run, stopping } = this.#running
    // A run that was interrupted is not at fault: another worker makes it at once.
    await this.#record(error, () => (stopping?.aborted ? 0 : milliseconds(this.retryDelay(run.number))))
  }

  /** Milliseconds to wait after the n-th failed run. One that fails, or is no length of time, is as if it were not overridden. */
  retryDelay(run: number): number {
    return backoff(run)
  }

  /** Ends a pending attempt that is no longer wanted, because its time has passed. */
  async expire(): Promise<void> {
    await this.#change(this.#class.store.end(this.id, 'expired'), 'expire')
  }

  /** Ends a pending attempt as failed. */
  async fail(): Promise<void> {
    await this.#change(this.#class.store.end(this.id, 'failed'), 'fail')
  }

  /** Ends an attempt that is pending or running. A call that runs has its signal aborted, and what it returns is dropped. */
  async cancel(): Promise<void> {
    await this.#change(this.#class.store.cancel(this.id), 'cancel')
  }

  /** Makes a call due now that waits, or that ended without success; it gets one more run at least. */
  async retry(): Promise<void> {
    await this.#change(this.#class.store.retry(this.id), 'retry')
  }

  /**
   * Waits for the end of the attempt, and resolves with what the call returned.
   * @throws AttemptEndedError where it ended otherwise, with the stored error as its cause; WaitTimeoutError
   */
  async wait(options: WaitOptions = {}): Promise<unknown> {
    return await waitFor(this, this.#label, options)
  }

  /** Reads the row again. */
  async reload(): Promise<this> {
    const row = await this.#class.store.find(this.id)
    if (!row) throw new InvalidStateError(`${this.#label} is gone: its row was deleted.`)
    this.row = row
    return this
  }

  protected override get content(): Content {
    return this.#class.content
  }

  get #class(): AttemptClass {
    return this.constructor as AttemptClass
  }

  get #label(): string {
    return `${this.constructor.name} ${this.id} (${this.target}.${this.method})`
  }

  #invalidState(verb: string): InvalidStateError {
    return new InvalidStateError(`Cannot ${verb} ${this.#label}: it is ${this.status}.`)
  }

  /** Returns what the hook threw, if it did. */
  async #run({ row, run }: Claimed, stopping: AbortSignal | undefined): Promise<Thrown | undefined> {
    const { db, store } = this.#class
    this.row = row
    this.#running = { run, started: performance.now(), stopping }
    const call = new Call(db, this as AttemptRecord, run.number, stopping)
    const telling = this.#telling(run)
    try {
      const make = () => perform(this.#class, this as AttemptRecord, call, run, this.owner)
      return await tell('run', telling, async () => {
        const outcome = await cancellable(db, store.table, call, make)
        const hook = await this.#settle(run, outcome)
        telling.outcome = this.#verdict(outcome)
        if (outcome.kind === 'failed')
          telling.error = this.content.tellable(hook ? hook.thrown : outcome.error, this.owner)
        return hook
      })
    } finally {
      this.#running = undefined
      store.letGo(run)
    }
  }

  #telling(run: Run): Telling {
    const name = `${this.target}.${this.method}`
    return { type: this.constructor.name, id: `${run.id}`, name, run: run.number, askedBy: this.row.trace_context }
  }

  #verdict({ kind }: Outcome): Verdict {
    if (kind === 'succeeded') return 'succeeded'
    if (kind === 'failed' && this.isPending) return 'retried'
    return kind === 'failed' && this.isFailed ? 'failed' : 'overtaken'
  }

  async #settle(run: Run, outcome: Outcome): Promise<Thrown | undefined> {
    if (outcome.kind === 'failed') return await this.#handle(run, outcome.error)
    if (outcome.kind === 'taken away') await this.#catchUp()
    else {
      const result = JSON.parse(outcome.result)
      this.row = { ...this.row, status: 'succeeded', result, completed_at: new Date(), locked_by: null }
    }
    return undefined
  }

  /** Has the hook decide. One that decides nothing leaves the attempt to be tried again, as does one that fails: then, what it threw. */
  async #handle(run: Run, error: unknown): Promise<Thrown | undefined> {
    try {
      await this.handlePerformError(error)
      if (this.isRunning) await this.#fail(run, { retryAfter: milliseconds(this.retryDelay(run.number)) })
      return undefined
    } catch (thrown) {
      if (this.isRunning) await this.#record(error, () => backoff(run.number))
      return { thrown }
    }
  }

  /** Adds an error, and sets the attempt back to wait or, if this was its last run, fails it. */
  async #record(error: unknown, delay: () => number): Promise<void> {
    const { run, started } = this.#running!
    const entry: AttemptError = {
      number: run.number,
      at: new Date().toISOString(),
      elapsed: secondsSince(started),
      worker: run.worker,
      ...describeError(error),
    }
    const isFinal = isInstance(error, PermanentError, DecryptionError)
    await this.#fail(run, {
      retryAfter: isFinal || run.number >= this.maxAttempts ? null : delay(),
      error: this.content.encodeError(entry, this.owner, error),
    })
  }

  async #fail(run: Run, failure: Failure): Promise<void> {
    const row = await this.#class.store.fail(run, failure)
    if (row) this.row = row
    else await this.#catchUp()
  }

  /** Reads what somebody else has made of the row; a row that was deleted stays as it was. */
  async #catchUp(): Promise<void> {
    this.row = (await this.#class.store.find(this.id)) ?? this.row
  }

  async #change(change: Promise<AttemptRow | undefined>, verb: string): Promise<void> {
    const row = await change
    if (!row) {
      await this.reload()
      throw this.#invalidState(verb)
    }
    this.row = row
  }
}

interface Thrown {
  thrown: unknown
}

async function storedFilter<T extends Targets>(
  { targets }: AttemptClass,
  { target, parent, ...filter }: AttemptFilter<T>,
): Promise<Filter> {
  return { ...filter, target: target && (await targets()).nameOf(target), parentId: parent?.id }
}
