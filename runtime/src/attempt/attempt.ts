import { backoff } from '../core/backoff.js'
import type { BoundDatabase } from '../core/database.js'
import { type Duration, milliseconds, secondsSince } from '../core/duration.js'
import { DecryptionError, describeError, InvalidStateError, isInstance, PermanentError } from '../core/errors.js'
import { type Id, idOf } from '../core/id.js'
import { snakeCase } from '../core/names.js'
import type { PrismaClientLike } from '../core/prisma/client.js'
import { sweptTables } from '../core/swept-table.js'
import { instrument } from '../telemetry/instrument.js'
import type { OperationEvent, OperationOutcome } from '../telemetry/operation.js'
import type {
  AnyCall,
  AttemptOf,
  Callee,
  CallInput,
  Call as CallOf,
  Deferred,
  NotListed,
  RecordOptions,
  WithinTransaction,
} from './calls.js'
import { cancellable } from './cancel.js'
import { type Claimed, claim } from './claim.js'
import { fromColumn } from './columns.js'
import { Content } from './content.js'
import { Call, currentCall } from './current.js'
import { AttemptFields, OWN_FIELDS } from './fields.js'
import { type Outcome, perform } from './perform.js'
import { recordCalls, standIn } from './recording.js'
import { type Reencryption, reencryptAll } from './reencrypt.js'
import {
  type AttemptRow,
  type AttemptStatus,
  AttemptStore,
  type Failure,
  type Filter,
  type NewError,
  type NewStoredError,
  type Run,
} from './store.js'
import { classes, rootOf, typesOf } from './subclasses.js'
import { type Targets, targetLoader } from './targets.js'
import type {
  AddedFields,
  AttemptClass,
  AttemptFilter,
  BaseAttemptOptions,
  ClientOf,
  DataOf,
  PerformOptions,
  TargetsOf,
} from './types.js'
import { type WaitOptions, waitFor } from './wait.js'

/** A base class for the attempts of one table, bound to a database and to what they may call. */
export function BaseAttempt<Client extends PrismaClientLike, const Model extends string, const T extends Targets>(
  db: BoundDatabase<Client>,
  { model, table, targets, encryptor, encryptors, priorities = {} }: BaseAttemptOptions<Model, T>,
): AttemptClass<Client, T, AddedFields<Client, Model>> {
  const binding = {
    db,
    model,
    targets: targetLoader(targets),
    store: new AttemptStore(db, model, table, snakeCase(model)),
    content: new Content(table, encryptor, encryptors),
    priorities,
  }
  sweptTables(db).add(binding.store)
  return Object.assign(class extends AttemptRecord<AddedFields<Client, Model>> {}, binding)
}

const DEFAULT_LIMIT = 100

/** A run that is interrupted within so many milliseconds after another error waits before the next one. */
const INTERRUPTED_AGAIN = 60_000

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
  /** The run that this object holds. */
  #held: HeldRun | undefined

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
    const [attempt] = await this.createMany([call as never], within)
    return attempt as never
  }

  /** Records any number of calls with one statement, and returns their attempts in the same order. */
  static async createMany<Class extends AttemptClass>(
    this: Class,
    calls: readonly (CallInput<TargetsOf<Class>> & RecordOptions<DataOf<Class>>)[],
    { tx }: WithinTransaction<ClientOf<Class>> = {},
  ): Promise<InstanceType<Class>[]> {
    const recorded = await recordCalls(this, calls as readonly AnyCall[], tx)
    // A duplicate may be of another class.
    const classOf = await classes(this)
    return recorded.map(({ row, duplicate }) => new (classOf(row))(row, duplicate) as InstanceType<Class>)
  }

  /** A stand-in for the target: calling a method of it records the call. */
  static async<Class extends AttemptClass, const C extends object>(
    this: Class,
    callee: C extends Callee<TargetsOf<Class>> ? C : NotListed,
    { tx, ...options }: RecordOptions<DataOf<Class>> & WithinTransaction<ClientOf<Class>> = {},
  ): Deferred<C, InstanceType<Class>> {
    return standIn(callee as object, (call) => this.create({ ...options, ...call } as never, { tx } as never)) as never
  }

  /** Like `async`, for a call that is to be made at a given time. */
  static schedule<Class extends AttemptClass, const C extends object>(
    this: Class,
    time: Date,
    callee: C extends Callee<TargetsOf<Class>> ? C : NotListed,
    options: Omit<RecordOptions<DataOf<Class>>, 'scheduledAt'> & WithinTransaction<ClientOf<Class>> = {},
  ): Deferred<C, InstanceType<Class>> {
    const { priority = this.priorities.schedule ?? 20, ...rest } = options
    return this.async(callee as never, { ...rest, priority, scheduledAt: time } as never) as never
  }

  /**
   * The attempt with that id, as an instance of its subclass, or null. A subclass finds its own attempts alone.
   * @param id a bigint, a whole number, or its digits as text, as `toJSON` and URLs have it
   * @throws AsyncGenError INVALID_ID
   */
  static async find<Class extends AttemptClass>(this: Class, id: Id): Promise<InstanceType<Class> | null> {
    const row = await this.store.find(idOf(id, `${this.name}.find: an attempt`), await typesOf(this))
    return row ? (new ((await classes(this))(row))(row) as InstanceType<Class>) : null
  }

  /** The newest attempts that match. For all else there is the Prisma model. */
  static async where<Class extends AttemptClass>(
    this: Class,
    filter: AttemptFilter<TargetsOf<Class>>,
    { limit = DEFAULT_LIMIT }: { limit?: number } = {},
  ): Promise<InstanceType<Class>[]> {
    const rows = await this.store.select(await storedFilter(this, filter), limit)
    const classOf = await classes(this)
    return rows.map((row) => new (classOf(row))(row) as InstanceType<Class>)
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
   * Performs an attempt by id, as an instance of its subclass; the worker does this. Returns null where it is not pending, not due,
   * or gone.
   * @param subclasses classes that extend it and that `defineTargets` does not list
   */
  static async perform<Class extends AttemptClass>(
    this: Class,
    id: Id,
    { signal, subclasses = [] }: PerformOptions & { subclasses?: readonly AttemptClass[] } = {},
  ): Promise<InstanceType<Class> | null> {
    const classOf = await classes(this, subclasses)
    const claimed = await claim(this, idOf(id, `${this.name}.perform: an attempt`))
    if (!claimed) return null
    const attempt = new (classOf(claimed.row))(claimed.row) as InstanceType<Class>
    await attempt.#performClaimed(claimed, signal)
    return attempt
  }

  /** Re-encrypts rows whose encryptor is not the current one. An older key can be removed once nothing is left. */
  static async reencrypt<Class extends AttemptClass>(
    this: Class,
    { batch = 500 }: { batch?: number } = {},
  ): Promise<Reencryption> {
    return await reencryptAll(this.store, this.content, batch)
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

  /**
   * Makes the call now, if it is due. What the call writes through `Attempt.current().tx()` happens exactly once; its other
   * effects happen at least once: a run whose process dies is made again.
   *
   * Override it to do something around every run, and call `super`: the worker calls it, too, with the run already claimed
   * (`status` is `running`). There, `fail`, `expire`, `cancel` and `retry` end the run without making the call. An error thrown
   * before `super` counts as an error of the run. An override that does neither puts the call off by `retryDelay`.
   *
   * @returns true where the call has run. false where it is not due yet: nothing was changed, and a warning ATTEMPT_NOT_DUE says when it is due
   * @throws InvalidStateError unless the attempt is pending; and what `handlePerformError` throws
   */
  async perform({ signal }: PerformOptions = {}): Promise<boolean> {
    if (this.#held?.phase !== 'claimed') {
      const claimed = await claim(this.#class, this.id)
      if (!claimed) {
        await this.reload()
        if (!this.isPending) throw this.#invalidState('perform')
        warnOfNoCall(this, this.#label)
        return false
      }
      this.#hold(claimed, signal)
    }
    const hook = await this.#run(this.#held!)
    if (hook) throw hook.thrown
    return true
  }

  /**
   * Every failed run ends here. The default records the error and tries again after `retryDelay`, or fails the attempt: when
   * it was the last run that it has, when the call threw a PermanentError, and when its content does not decrypt. Override
   * it to alert somebody, and call `super`; or decide otherwise: `fail`, `expire`, `cancel` and `retry` record the error and end
   * the run so, and a PermanentError thrown here fails the attempt.
   */
  async handlePerformError(error: unknown): Promise<void> {
    if (!this.#held) throw new InvalidStateError(`${this.#label} is not running, so no error of it can be handled.`)
    const { run, stopping } = this.#held
    await this.#record(error, () =>
      stopping?.aborted ? this.#interruptedDelay : milliseconds(this.retryDelay(run.number)),
    )
  }

  /** A run that was interrupted is not at fault, so another follows at once: but not for ever, while workers come and go. */
  get #interruptedDelay(): number {
    const recent = this.row.errors.filter((entry) => Date.now() - Date.parse(entry?.at) < INTERRUPTED_AGAIN)
    return recent.length === 0 ? 0 : backoff(recent.length)
  }

  /** Milliseconds to wait after the n-th failed run. One that fails, or is no length of time, is as if it were not overridden. */
  retryDelay(run: number): number {
    return backoff(run)
  }

  /** Ends a pending attempt that is no longer wanted, because its time has passed; in a hook, the attempt whose run failed. */
  async expire(): Promise<void> {
    await this.#end('expired', 'expire')
  }

  /** Ends a pending attempt as failed; in a hook, the attempt whose run failed. */
  async fail(): Promise<void> {
    await this.#end('failed', 'fail')
  }

  /** Ends an attempt that is pending or running. A call that runs has its signal aborted, and what it returns is dropped. */
  async cancel(): Promise<void> {
    const change = this.#endRun('cancelled') ?? this.#class.store.cancel(this.id)
    await this.#change(change, 'cancel')
  }

  /**
   * Makes a call due that waits, or that ended without success; in a hook, the one whose run failed. It gets one more run at least.
   * @param options `delay`: how long to wait first, in place of not at all
   */
  async retry({ delay = 0 }: { delay?: Duration } = {}): Promise<void> {
    const wait = milliseconds(delay)
    await this.#change(this.#endRun('pending', wait) ?? this.#class.store.retry(this.id, wait), 'retry')
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
    return new InvalidStateError(`Cannot ${verb} ${this.#label}: its status is ${this.status}.`)
  }

  #hold({ row, run }: Claimed, stopping: AbortSignal | undefined): HeldRun {
    this.row = row
    this.#held = { run, started: performance.now(), stopping, phase: 'claimed', decided: false }
    return this.#held
  }

  /** Has `perform` make the call of a run that is claimed already, and sees to it that the run ends if an override does not. */
  async #performClaimed(claimed: Claimed, signal: AbortSignal | undefined): Promise<void> {
    const held = this.#hold(claimed, signal)
    try {
      await this.perform(signal ? { signal } : {})
    } catch (thrown) {
      if (held.phase === 'claimed') await this.#run(held, { thrown })
      else if (held.hook?.thrown !== thrown) warnOf(this.#label, thrown)
    }
    if (held.phase === 'claimed' && this.isRunning) await this.#run(held, 'put off')
    this.#letGo(held)
  }

  /** Makes the call, unless an override of `perform` has failed or put it off. Returns what the hook threw, if it did. */
  async #run(held: HeldRun, instead?: Thrown | 'put off'): Promise<Thrown | undefined> {
    const { db, store } = this.#class
    const { run, stopping } = held
    held.phase = 'calling'
    const call = new Call(db, this as AttemptRecord, run.number, stopping)
    const event = this.#event(run)
    const make = async (): Promise<Outcome> => {
      if (instead === 'put off') return { kind: 'put off' }
      if (instead) return { kind: 'failed', error: instead.thrown }
      return await perform(this.#class, this as AttemptRecord, call, run, this.owner)
    }
    try {
      return await instrument('run', event, async () => {
        const outcome = await cancellable(db, store.table, call, make)
        held.hook = await this.#settle(held, outcome)
        event.outcome = this.#outcome(outcome, held)
        if (outcome.kind === 'failed')
          event.error = this.content.tellable(held.hook ? held.hook.thrown : outcome.error, this.owner)
        if (outcome.kind === 'released') event.error = this.content.tellable(outcome.error, this.owner)
        return held.hook
      })
    } finally {
      this.#letGo(held)
    }
  }

  #letGo(held: HeldRun): void {
    if (this.#held === held) this.#held = undefined
    this.#class.store.letGo(held.run)
  }

  #event(run: Run): OperationEvent {
    const name = `${this.target}.${this.method}`
    return { type: this.constructor.name, id: `${run.id}`, name, run: run.number, enqueuedBy: this.row.trace_context }
  }

  #outcome({ kind }: Outcome, { decided }: HeldRun): OperationOutcome {
    if (kind === 'succeeded') return 'succeeded'
    if (kind === 'taken away') return 'superseded'
    if (kind === 'released' || this.isPending) return 'retried'
    return decided || this.isFailed ? 'failed' : 'superseded'
  }

  async #settle(held: HeldRun, outcome: Outcome): Promise<Thrown | undefined> {
    if (outcome.kind === 'failed') return await this.#handle(held, outcome.error)
    if (outcome.kind === 'taken away' || outcome.kind === 'released') await this.#catchUp()
    else if (outcome.kind === 'put off') await this.#fail(held.run, { retryAfter: this.#safeDelay(held.run) })
    else {
      const result = JSON.parse(outcome.result)
      this.row = { ...this.row, status: 'succeeded', result, completed_at: new Date(), locked_by: null }
    }
    return undefined
  }

  /** Has the hook decide. One that decides nothing leaves the attempt to be tried again, as does one that fails: then, what it threw. */
  async #handle(held: HeldRun, error: unknown): Promise<Thrown | undefined> {
    held.phase = 'handling'
    held.error = { thrown: error }
    const { run } = held
    try {
      await this.handlePerformError(error)
      if (this.isRunning) await this.#fail(run, { retryAfter: milliseconds(this.retryDelay(run.number)) })
      return undefined
    } catch (thrown) {
      const isFinal = isInstance(thrown, PermanentError)
      if (isFinal && (this.isRunning || this.isPending)) await this.#end('failed', 'fail').catch(() => {})
      else if (this.isRunning) await this.#record(error, () => backoff(run.number))
      return { thrown }
    }
  }

  #safeDelay(run: Run): number {
    try {
      return milliseconds(this.retryDelay(run.number))
    } catch {
      return backoff(run.number)
    }
  }

  /** Adds an error, and sets the attempt back to wait or, if this was its last run, fails it. */
  async #record(error: unknown, delay: () => number): Promise<void> {
    const held = this.#held!
    const isFinal = isInstance(error, PermanentError, DecryptionError)
    await this.#fail(held.run, {
      retryAfter: isFinal || held.run.number >= this.maxAttempts ? null : delay(),
      error: this.#entry(held, error),
    })
  }

  #entry({ run, started }: HeldRun, error: unknown): NewStoredError {
    const entry: NewError = {
      number: run.number,
      elapsed: secondsSince(started),
      worker: run.worker,
      ...describeError(error),
    }
    return this.content.encodeError(entry, this.owner, error)
  }

  async #fail(run: Run, failure: Failure): Promise<void> {
    const row = await this.#class.store.fail(run, failure)
    if (row) this.row = row
    else await this.#catchUp()
  }

  async #end(status: 'expired' | 'failed', verb: string): Promise<void> {
    const run = this.#decidable?.run.number
    await this.#change(this.#endRun(status) ?? this.#class.store.end(this.id, status, run), verb)
  }

  /** In a hook: ends the run as the hook has decided, with the error that it was called for. Nothing outside of hooks. */
  #endRun(status: AttemptStatus, retryAfter: number | null = null): Promise<AttemptRow | undefined> | undefined {
    const held = this.#decidable
    if (!held) return undefined
    held.decided = true
    if (!this.isRunning) return undefined
    const error = held.error && this.#entry(held, held.error.thrown)
    return this.#class.store.endRun(held.run, { status, retryAfter, ...(error && { error }) })
  }

  /** The run of which a hook may decide: before its call, in an override of `perform`, and after it, in `handlePerformError`. */
  get #decidable(): HeldRun | undefined {
    return this.#held?.phase === 'calling' ? undefined : this.#held
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

/** A run in progress, as the object of its attempt knows it. */
interface HeldRun {
  run: Run
  /** A reading of `performance.now()`. */
  started: number
  stopping: AbortSignal | undefined
  phase: 'claimed' | 'calling' | 'handling'
  /** Whether a hook has ended it. */
  decided: boolean
  /** What the call threw. */
  error?: Thrown
  /** What the hook threw, if it did. */
  hook?: Thrown | undefined
}

/** A caller that does not look at what `perform` returns would take it for a call that has run. */
function warnOfNoCall({ isDue, scheduledAt }: AttemptFields, label: string): void {
  const why = isDue ? 'another process has locked its row' : `it is due at ${scheduledAt.toISOString()}`
  process.emitWarning(`perform() made no call of ${label}: ${why}.`, { code: 'ATTEMPT_NOT_DUE' })
}

/** An override of `perform` has failed after its run had ended, which changes nothing. */
function warnOf(label: string, thrown: unknown): void {
  const { name, message } = describeError(thrown)
  process.emitWarning(`perform() of ${label} threw after the run had ended: ${name}: ${message}`, {
    code: 'PERFORM_THREW',
  })
}

async function storedFilter<T extends Targets>(
  Attempt: AttemptClass,
  { target, parent, ...filter }: AttemptFilter<T>,
): Promise<Filter> {
  const types = await typesOf(Attempt)
  const name = target && (await Attempt.targets()).nameOf(target)
  return { ...filter, target: name, parentId: parent?.id, types }
}
