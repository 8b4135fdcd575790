import { AsyncLocalStorage } from 'node:async_hooks'
import type { Database } from '../core/database.js'
import type { Duration } from '../core/duration.js'
import { AsyncGenError, callEnded, type TimeoutError } from '../core/errors.js'
import type { TransactionOf } from '../core/prisma/client.js'
import type { OpenTransaction } from '../core/prisma/transaction.js'
import type { ProgressWriter } from '../core/progress-writer.js'
import { Batch, type BatchClass } from './batches/batch.js'
import type { BoundClass } from './binding.js'
import type { LoadedPredecessors } from './dependencies/load.js'
import type { AttemptFields } from './fields.js'
import { Snooze } from './snooze.js'
import type { AttemptStore } from './store.js'
import type { MethodOf, ResultOf } from './target-types.js'

/** What a call can ask for while it runs, through `Attempt.current()`. */
export class CurrentCall<Attempt = AttemptFields, Client = unknown, Class = unknown> {
  readonly attempt: Attempt
  /** The number of the run, from 1. */
  readonly run: number
  /**
   * The attempts that the option `after` named, in that order, read before the call began: `after[0]?.result`. Null for one that was deleted
   * meanwhile, which `ifFailed: 'run'` allows.
   */
  readonly after: readonly (Attempt | null)[]
  readonly #predecessors: LoadedPredecessors<Attempt> | undefined
  readonly #db: Database
  readonly #control: RunControl
  readonly #reports: ProgressSource | undefined
  #progress: ProgressWriter | undefined
  #transaction: Promise<OpenTransaction<Client>> | undefined
  #hasEnded = false

  /**
   * @param reports undefined if reports of progress are ignored
   * @param predecessors undefined if it waited for no others
   */
  constructor(
    db: Database,
    attempt: Attempt,
    run: number,
    control: RunControl,
    reports: ProgressSource | undefined,
    predecessors?: LoadedPredecessors<Attempt>,
  ) {
    this.#db = db
    this.attempt = attempt
    this.run = run
    this.after = predecessors?.attempts ?? []
    this.#predecessors = predecessors
    this.#control = control
    this.#reports = reports
  }

  /**
   * Aborts when the attempt is cancelled, when the time limit of the run is over (with a TimeoutError), and when the worker has to stop
   * before the call has ended.
   */
  get signal(): AbortSignal {
    return this.#control.signal
  }

  /** The batch that the call belongs to, or that it follows. A call adds to its own batch: `Attempt.current().batch?.add(calls)`. */
  get batch(): Batch<Class> | undefined {
    const { batchId, constructor: Attempt } = this.attempt as AttemptFields
    return batchId === null ? undefined : new Batch(Attempt as unknown as BatchClass, batchId)
  }

  /**
   * What those of the attempts in `after` returned that called a method, in their order; undefined for one that did not succeed:
   * `const [receipt] = Attempt.current().resultsOf(Bank, 'charge')`.
   */
  resultsOf<const T extends object, const M extends MethodOf<T>>(target: T, method: M): (ResultOf<T, M> | undefined)[] {
    return (this.#predecessors?.resultsOf(target, method) ?? []) as (ResultOf<T, M> | undefined)[]
  }

  /**
   * The transaction of the call, opened when it is first asked for. What the call writes through it commits together with the
   * success of the attempt, so it happens exactly once. If the call fails, it rolls back. A call that never asks holds no
   * connection, and its effects happen at least once.
   *
   * @throws AsyncGenError CALL_ENDED after the call has returned, or after its time limit
   */
  readonly tx = (): Promise<TransactionOf<Client>> => {
    const opened = this.#openTransaction()
    // A call may await it later, or never.
    opened.catch(() => {})
    return opened
  }

  async #openTransaction(): Promise<TransactionOf<Client>> {
    this.requireRunning()
    this.#transaction ??= this.#db.openTransaction({ cancellable: this.#control.limit !== undefined })
    const { tx } = await this.#transaction
    // The time limit may have ended the run meanwhile, and the transaction rolls back.
    if (this.#control.timeout) throw callEnded()
    return tx
  }

  /**
   * Reports how far the call is: `progress(0.4, 'page 4 of 10')`. Call it as often as you like: the row is written at most twice a second.
   * If the write fails, the call goes on.
   *
   * @param done from 0 to 1; values outside count as the nearest, and NaN (as of an empty list) is left out
   * @param message at most 1,000 characters are kept
   * @throws AsyncGenError INVALID_OPTION for a value that is no number; CALL_ENDED after the call has returned
   */
  get progress(): (done: number, message?: string) => void {
    return (done, message) => {
      this.requireRunning()
      if (typeof done !== 'number')
        throw new AsyncGenError('INVALID_OPTION', `progress is ${done}. It must be a number from 0 to 1.`)
      if (Number.isNaN(done)) return
      this.#progress ??= this.#reports?.progressWriter()
      this.#progress?.report(done, message)
    }
  }

  /**
   * Return what it returns, to run the call again later: `return Attempt.current().snooze('5 minutes')`. The attempt is pending again
   * without an error. The run is not counted, so there may be any number of them; `attempt.snoozes` counts them. What the call wrote
   * through `tx()` commits.
   *
   * @param delay less than a second counts as a second
   * @throws AsyncGenError INVALID_DURATION
   */
  get snooze(): (delay: Duration) => Snooze {
    return (delay) => {
      this.#control.hasSnoozed = true
      return new Snooze(delay)
    }
  }

  /** Marks the call as ended, so that `tx` throws, and returns its transaction if it asked for one. */
  async end(): Promise<OpenTransaction<Client> | undefined> {
    this.#hasEnded = true
    if (this.#progress) await this.#progress.end()
    return await this.#transaction
  }

  /** Whether the transaction is open or being opened. */
  get hasTransaction(): boolean {
    return this.#transaction !== undefined && !this.#hasEnded
  }

  /** The same call again, within the same run and with a new transaction. */
  again(): CurrentCall<Attempt, Client, Class> {
    // A report of progress updates the row, and so does the transaction of the call. With RepeatableRead and Serializable they conflict, so
    // later tries report nothing.
    return new CurrentCall(this.#db, this.attempt, this.run, this.#control, undefined, this.#predecessors)
  }

  /** @throws AsyncGenError CALL_ENDED after the call has returned, or after its time limit */
  requireRunning(): void {
    if (this.#hasEnded || this.#control.timeout) throw callEnded()
  }
}

/** Makes the writer of a call that reports progress. Most calls report none. */
interface ProgressSource {
  progressWriter(): ProgressWriter
}

/** What ends a run from outside: a cancellation, its time limit, or the stop of the worker. All tries of its call share it. */
export class RunControl {
  readonly #started = performance.now()
  readonly #stopping: AbortSignal | undefined
  #controller: AbortController | undefined
  #signal: AbortSignal | undefined
  #reason: AsyncGenError | undefined
  #timeout: TimeoutError | undefined
  /** The time limit of the run, in milliseconds. */
  limit: number | undefined
  /** Whether the call has called `snooze`. */
  hasSnoozed = false
  /** Whether another run would fail in the same way. */
  isFinal = false

  /** @param stopping aborts when the worker has to stop */
  constructor(stopping: AbortSignal | undefined) {
    this.#stopping = stopping
  }

  /** Milliseconds since the run began. */
  get elapsed(): number {
    return performance.now() - this.#started
  }

  /** Milliseconds until the time limit of the run is over. */
  get left(): number {
    return this.limit === undefined ? Number.POSITIVE_INFINITY : this.limit - this.elapsed
  }

  get signal(): AbortSignal {
    if (!this.#signal) {
      this.#controller = new AbortController()
      if (this.#reason) this.#controller.abort(this.#reason)
      this.#signal = AbortSignal.any([this.#controller.signal, ...(this.#stopping ? [this.#stopping] : [])])
    }
    return this.#signal
  }

  get isAborted(): boolean {
    return this.#reason !== undefined || this.#stopping?.aborted === true
  }

  get isCancelled(): boolean {
    return this.#reason?.code === 'CANCELLED'
  }

  /** The error for the run, once its time limit is over. The attempt may have been cancelled before. */
  get timeout(): TimeoutError | undefined {
    return this.#timeout
  }

  cancel(): void {
    this.#abort(new AsyncGenError('CANCELLED', 'The attempt was cancelled while it ran.'))
  }

  timeOut(error: TimeoutError): void {
    this.#timeout = error
    this.#abort(error)
  }

  #abort(reason: AsyncGenError): void {
    this.#reason ??= reason
    this.#controller?.abort(reason)
  }
}

const calls = new AsyncLocalStorage<CurrentCall>()

/** Runs a function so that `currentCall` finds the call inside it. */
export function runCall<Result>(call: CurrentCall, run: () => Result): Result {
  return calls.run(call, run)
}

/** @throws AsyncGenError NO_CURRENT_ATTEMPT outside of a call */
export function currentCall(): CurrentCall {
  const call = calls.getStore()
  if (call) return call
  throw new AsyncGenError(
    'NO_CURRENT_ATTEMPT',
    'No attempt is running here. Attempt.current() works only inside a call that a worker or `perform()` runs.',
  )
}

/** Whether the running call has asked for its transaction. Always false in production. */
export function isCallsTransactionOpen(): boolean {
  return process.env.NODE_ENV !== 'production' && calls.getStore()?.hasTransaction === true
}

/** The id of the attempt that runs here, if it is a row of the same table. */
export function currentParentId(store: AttemptStore): bigint | undefined {
  const attempt = calls.getStore()?.attempt
  return (attempt?.constructor as unknown as BoundClass | undefined)?.store === store ? attempt?.id : undefined
}
