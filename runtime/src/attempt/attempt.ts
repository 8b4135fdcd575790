import { backoff } from '../backoff.js'
import type { BoundDatabase, PrismaClientLike, TransactionLike, TransactionOf } from '../database.js'
import { describeError, InvalidStateError, TransactionEndedError } from '../errors.js'
import { snakeCase } from '../names.js'
import { presenceOf } from '../presence.js'
import { deserialize, serialize } from '../serialize.js'
import { keptTables } from '../upkeep.js'
import { type Call, currentCall, currentParentId } from './current.js'
import { perform } from './perform.js'
import { type AttemptError, type AttemptRow, type AttemptStatus, AttemptStore, type Run } from './store.js'
import { type ArgsOf, type MethodOf, nameOfTarget, resolveMethod, type Targets } from './targets.js'

export interface BaseAttemptOptions<T extends Targets> {
  /** The Prisma model of the table; its name in snake_case is the Graphile Worker task that performs it. */
  model: string
  /** The table: what the model's `@@map` says. */
  table: string
  /** All that attempts of this class may call. */
  targets: T
}

/** The transaction to record a call in: if that rolls back, the call never existed. */
export interface WithinTransaction<Client = unknown> {
  tx?: TransactionOf<Client> & TransactionLike
}

/** How a call is recorded; what is left out gets the table's defaults. */
export interface RecordOptions {
  /** One call for each token: a second one returns the attempt that exists, with `duplicate` set. */
  idempotenceToken?: string
  /** Higher runs first. Default: 10, and 20 through `schedule`. */
  priority?: number
  /** When to make the call. Default: as soon as the transaction has committed. */
  scheduledAt?: Date
  /** After how many failed runs the attempt counts as failed. Default: 25, which takes some 15 hours. */
  maxAttempts?: number
}

export interface PerformOptions {
  /** Aborts when the call has to stop; the call sees it as `Attempt.current().signal`. */
  signal?: AbortSignal
}

type ValueOf<T> = T[keyof T]

/** A call, with target, method and arguments as the compiler knows them. */
export type CallInput<T extends Targets> = ValueOf<{
  [N in keyof T]: ValueOf<{
    [M in MethodOf<T[N]>]: { target: T[N]; method: M } & (ArgsOf<T[N], M> extends readonly []
      ? { args?: ArgsOf<T[N], M> }
      : { args: ArgsOf<T[N], M> })
  }>
}>

/** A target whose methods record the call instead of making it. */
export type Deferred<Target, Attempt> = {
  [M in MethodOf<Target>]: (...args: ArgsOf<Target, M>) => Promise<Attempt>
}

/** What `BaseAttempt` returns, and what every attempt class extends. */
export type AttemptClass<Client = unknown, T extends Targets = Targets> = typeof AttemptRecord & {
  readonly db: BoundDatabase<Client & PrismaClientLike>
  readonly targets: T
  readonly store: AttemptStore
}

type ClientOf<Class> = Class extends { db: BoundDatabase<infer Client> } ? Client : never
type TargetsOf<Class> = Class extends { targets: infer T extends Targets } ? T : never

/** A base class for the attempts of one table, bound to a database and to what they may call. */
export function BaseAttempt<Client extends PrismaClientLike, const T extends Targets>(
  db: BoundDatabase<Client>,
  options: BaseAttemptOptions<T>,
): AttemptClass<Client, T> {
  const store = new AttemptStore(db, options.table, snakeCase(options.model))
  keptTables(db).add(store)
  return class extends AttemptRecord {
    static readonly db = db
    static readonly store = store
    static readonly targets = options.targets
  }
}

/** A call recorded in a table, as it was when it was read. Methods that change the row change the object with it. */
export class AttemptRecord {
  #row: AttemptRow
  #running: { run: Run; started: number; signal: AbortSignal } | undefined
  /** Whether `create` found an attempt with the same token instead of making one. */
  readonly duplicate: boolean

  constructor(row: AttemptRow, duplicate = false) {
    this.#row = row
    this.duplicate = duplicate
  }

  /**
   * Records a call. In a transaction it exists only if that commits, and from then on it is made for certain.
   * @throws TransactionEndedError where the transaction is gone, UnknownTargetError, UnserializableError
   */
  static async create<Class extends AttemptClass>(
    this: Class,
    call: CallInput<TargetsOf<Class>> & RecordOptions,
    { tx }: WithinTransaction<ClientOf<Class>> = {},
  ): Promise<InstanceType<Class>> {
    const { target, method, args = [], ...options } = call as RecordOptions & Recordable
    const targetName = nameOfTarget(this.targets, target)
    resolveMethod(this.targets, targetName, method)
    const attempt = {
      ...options,
      target: targetName,
      method,
      args: serialize(args, 'args'),
      parentId: currentParentId(),
    }
    const inserted = await this.store.insert(attempt, tx)
    if (inserted) return new this(inserted) as InstanceType<Class>
    const existing = attempt.idempotenceToken === undefined ? undefined : await this.store.findByToken(attempt, tx)
    if (!existing) throw new TransactionEndedError()
    return new this(existing, true) as InstanceType<Class>
  }

  /** A stand-in for the target: calling a method of it records the call. */
  static async<Class extends AttemptClass, Target extends ValueOf<TargetsOf<Class>>>(
    this: Class,
    target: Target,
    { tx, ...options }: RecordOptions & WithinTransaction<ClientOf<Class>> = {},
  ): Deferred<Target, InstanceType<Class>> {
    const record =
      (method: string) =>
      (...args: unknown[]) =>
        this.create({ ...options, target, method, args } as never, { tx } as never)
    return new Proxy({} as Deferred<Target, InstanceType<Class>>, {
      // A promise would be asked for `then`; a stand-in is none.
      get: (_, method) => (typeof method === 'symbol' || method === 'then' ? undefined : record(method)),
    })
  }

  /** Like `async`, for a call that is to be made at a given time. */
  static schedule<Class extends AttemptClass, Target extends ValueOf<TargetsOf<Class>>>(
    this: Class,
    time: Date,
    target: Target,
    options: Omit<RecordOptions, 'scheduledAt'> & WithinTransaction<ClientOf<Class>> = {},
  ): Deferred<Target, InstanceType<Class>> {
    return this.async(target, { priority: 20, ...options, scheduledAt: time } as never) as never
  }

  /** The attempt with that id, or null. */
  static async find<Class extends AttemptClass>(this: Class, id: bigint | number): Promise<InstanceType<Class> | null> {
    const row = await this.store.find(BigInt(id))
    return row ? (new this(row) as InstanceType<Class>) : null
  }

  /** Inside a call: the attempt, a signal that aborts when the worker stops, and a transaction for a call that wants one. */
  static current<Class extends AttemptClass>(
    this: Class,
  ): Omit<Call, 'attempt' | 'tx'> & { attempt: InstanceType<Class>; tx(): Promise<TransactionOf<ClientOf<Class>>> } {
    return currentCall() as never
  }

  get id(): bigint {
    return BigInt(this.#row.id)
  }
  get target(): string {
    return this.#row.target
  }
  get method(): string {
    return this.#row.method
  }
  get args(): unknown[] {
    return deserialize(this.#row.args) as unknown[]
  }
  get status(): AttemptStatus {
    return this.#row.status
  }
  get priority(): number {
    return this.#row.priority
  }
  get numAttempts(): number {
    return this.#row.num_attempts
  }
  get maxAttempts(): number {
    return this.#row.max_attempts
  }
  get idempotenceToken(): string | null {
    return this.#row.idempotence_token
  }
  get scheduledAt(): Date {
    return this.#row.scheduled_at
  }
  get startedAt(): Date | null {
    return this.#row.started_at
  }
  get completedAt(): Date | null {
    return this.#row.completed_at
  }
  /** What the call returned: undefined until it has succeeded. */
  get result(): unknown {
    return this.status === 'succeeded' ? deserialize(this.#row.result) : undefined
  }
  /** One entry for every run that failed, the oldest first. */
  get errors(): AttemptError[] {
    return this.#row.errors
  }
  get parentId(): bigint | null {
    return this.#row.parent_id === null ? null : BigInt(this.#row.parent_id)
  }

  get isPending(): boolean {
    return this.status === 'pending'
  }

  /**
   * Makes the call now, if it is due; the worker calls this. What the call writes through `Attempt.current().tx()` happens
   * exactly once; its other effects happen at least once.
   *
   * @returns whether the call was made; one that is not due is left alone
   * @throws InvalidStateError unless the attempt is pending
   */
  async perform(options: PerformOptions = {}): Promise<boolean> {
    const claimed = await claim(this.#class, this.id)
    if (!claimed) {
      await this.reload()
      if (!this.isPending) throw this.#invalidState('perform')
      return false
    }
    await this.#run(claimed, options)
    return true
  }

  /** Like `perform`, by id: one statement fewer. Returns null where the row is not pending, not due, or gone. */
  static async perform<Class extends AttemptClass>(
    this: Class,
    id: bigint,
    options: PerformOptions = {},
  ): Promise<InstanceType<Class> | null> {
    const claimed = await claim(this, id)
    if (!claimed) return null
    const attempt = new this(claimed.row) as InstanceType<Class>
    await attempt.#run(claimed, options)
    return attempt
  }

  /**
   * Every failed run ends here. The default records the error and tries again after `retryDelay`, or fails the attempt
   * when it was the last run that it has. Override it to alert somebody, or to end an attempt early, and call `super`.
   */
  async handlePerformError(error: unknown): Promise<void> {
    if (!this.#running) throw new InvalidStateError(`${this.#label} is not running, so no error of it can be handled.`)
    const { run, started, signal } = this.#running
    const entry: AttemptError = {
      number: run.number,
      at: new Date().toISOString(),
      elapsed: (performance.now() - started) / 1000,
      worker: run.worker,
      ...describeError(error),
    }
    const { store } = this.#class
    // A run that was interrupted is not at fault: another worker makes it at once.
    const delay = signal.aborted ? 0 : this.retryDelay(run.number)
    const row = run.number < this.maxAttempts ? await store.retry(run, delay, entry) : await store.giveUp(run, entry)
    if (row) this.#row = row
  }

  /** Milliseconds to wait after the n-th failed run. */
  retryDelay(run: number): number {
    return backoff(run)
  }

  /** Ends a pending attempt that is no longer wanted, because its time has passed. */
  async expire(): Promise<void> {
    await this.#end('expired')
  }

  /** Ends a pending attempt as failed. */
  async fail(): Promise<void> {
    await this.#end('failed')
  }

  /** Reads the row again. */
  async reload(): Promise<this> {
    const row = await this.#class.store.find(this.id)
    if (!row) throw new InvalidStateError(`${this.#label} is gone: its row was deleted.`)
    this.#row = row
    return this
  }

  get #class(): AttemptClass {
    return this.constructor as AttemptClass
  }

  get #label(): string {
    return `${this.constructor.name} ${this.id} (${this.target}.${this.method})`
  }

  #invalidState(verb: string): InvalidStateError {
    return new InvalidStateError(`Cannot ${verb} ${this.#label}: it is ${this.status}, not pending.`)
  }

  async #run({ row, run }: Claimed, { signal = new AbortController().signal }: PerformOptions): Promise<void> {
    const { db, store, targets } = this.#class
    this.#row = row
    this.#running = { run, started: performance.now(), signal }
    const method = () => resolveMethod(targets, this.target, this.method)
    const outcome = await perform({ db, store, attempt: this, run, signal, method })
    if (outcome.ok) {
      if (outcome.row) this.#row = outcome.row
      else await this.reload()
    } else {
      await this.handlePerformError(outcome.error)
      // A hook that decided nothing leaves the attempt to be tried again.
      if (this.status === 'running') this.#row = (await store.retry(run, this.retryDelay(run.number))) ?? this.#row
    }
    this.#running = undefined
  }

  async #end(status: 'expired' | 'failed'): Promise<void> {
    const row = await this.#class.store.end(this.id, status)
    if (!row) {
      await this.reload()
      throw this.#invalidState(status === 'expired' ? 'expire' : 'fail')
    }
    this.#row = row
  }
}

/** Takes the row for this process and counts the run. */
async function claim({ db, store }: AttemptClass, id: bigint): Promise<Claimed | undefined> {
  const { id: worker } = await presenceOf(db)
  const row = await store.claim(id, worker)
  return row && { row, run: { id, number: row.num_attempts, worker } }
}

interface Claimed {
  row: AttemptRow
  run: Run
}

interface Recordable {
  target: object
  method: string
  args?: unknown[]
}
