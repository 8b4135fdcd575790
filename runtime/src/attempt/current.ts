import { AsyncLocalStorage } from 'node:async_hooks'
import type { Database } from '../core/database.js'
import { AsyncGenError } from '../core/errors.js'
import type { TransactionOf } from '../core/prisma/client.js'
import type { OpenTransaction } from '../core/prisma/transaction.js'
import type { BoundClass } from './binding.js'
import type { AttemptFields } from './fields.js'
import type { AttemptStore } from './store.js'

/** What a call can ask for while it runs, through `Attempt.current()`. */
export class CurrentCall<Attempt = AttemptFields, Client = unknown> {
  readonly attempt: Attempt
  /** The number of the run, from 1. */
  readonly run: number
  readonly #db: Database
  readonly #stopping: AbortSignal | undefined
  readonly #cancelled: AbortController
  #signal: AbortSignal | undefined
  #transaction: Promise<OpenTransaction<Client>> | undefined
  #hasEnded = false

  constructor(
    db: Database,
    attempt: Attempt,
    run: number,
    stopping: AbortSignal | undefined,
    cancelled = new AbortController(),
  ) {
    this.#db = db
    this.attempt = attempt
    this.run = run
    this.#stopping = stopping
    this.#cancelled = cancelled
  }

  /** Aborts when the attempt is cancelled, and when the worker has to stop before the call has ended. */
  get signal(): AbortSignal {
    this.#signal ??= AbortSignal.any([this.#cancelled.signal, ...(this.#stopping ? [this.#stopping] : [])])
    return this.#signal
  }

  /**
   * The transaction of the call, opened when it is first asked for. What the call writes through it commits together with the
   * success of the attempt, so it happens exactly once. If the call fails, it rolls back. A call that never asks holds no
   * connection, and its effects happen at least once.
   *
   * @throws AsyncGenError CALL_ENDED after the call has returned
   */
  readonly tx = async (): Promise<TransactionOf<Client>> => {
    if (this.#hasEnded)
      throw new AsyncGenError('CALL_ENDED', 'The call has ended. Await everything that it starts before it returns.')
    this.#transaction ??= this.#db.openTransaction()
    return (await this.#transaction).tx
  }

  /** Marks the call as ended, so that `tx` throws, and returns its transaction if it asked for one. */
  async end(): Promise<OpenTransaction<Client> | undefined> {
    this.#hasEnded = true
    return await this.#transaction
  }

  /** Whether the transaction is open or being opened. */
  get hasTransaction(): boolean {
    return this.#transaction !== undefined && !this.#hasEnded
  }

  /** The same call again, within the same run and with a new transaction. */
  again(): CurrentCall<Attempt, Client> {
    return new CurrentCall(this.#db, this.attempt, this.run, this.#stopping, this.#cancelled)
  }

  cancel(): void {
    this.#cancelled.abort(new AsyncGenError('CANCELLED', 'The attempt was cancelled while it ran.'))
  }

  get isCancelled(): boolean {
    return this.#cancelled.signal.aborted
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
