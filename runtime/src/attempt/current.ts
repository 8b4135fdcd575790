import { AsyncLocalStorage } from 'node:async_hooks'
import type { Database, OpenTransaction } from '../core/database.js'
import { AsyncGenError } from '../core/errors.js'
import type { TransactionOf } from '../core/prisma/client.js'
import type { AttemptRecord } from './attempt.js'
import type { AttemptStore } from './store.js'
import type { AttemptClass } from './types.js'

/** What a call can ask for while it runs, through `Attempt.current()`. */
export class Call<Attempt = AttemptRecord, Client = unknown> {
  readonly attempt: Attempt
  /** Which run of the attempt this is, from 1. */
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

  /** Aborts when the attempt is cancelled, and when the worker has to stop before the call is done. */
  get signal(): AbortSignal {
    this.#signal ??= AbortSignal.any([this.#cancelled.signal, ...(this.#stopping ? [this.#stopping] : [])])
    return this.#signal
  }

  /**
   * The call's own transaction, opened when it is first asked for. What is written through it is committed together with
   * the attempt's success, so it happens exactly once; when the call fails it is rolled back. A call that never asks holds
   * no connection, and what it does happens at least once.
   */
  readonly tx = async (): Promise<TransactionOf<Client>> => {
    if (this.#hasEnded)
      throw new AsyncGenError('CALL_ENDED', 'The call has ended: await what it does before it returns.')
    this.#transaction ??= this.#db.openTransaction()
    return (await this.#transaction).tx
  }

  /** Once the call has ended: its transaction, if it asked for one. What asks for it later would wait for a commit in vain. */
  async openedTransaction(): Promise<OpenTransaction<Client> | undefined> {
    this.#hasEnded = true
    return await this.#transaction
  }

  /** Whether its transaction is open, or about to be. */
  get hasTransaction(): boolean {
    return this.#transaction !== undefined && !this.#hasEnded
  }

  /** The same call once more, in the same run: with a transaction of its own. */
  again(): Call<Attempt, Client> {
    return new Call(this.#db, this.attempt, this.run, this.#stopping, this.#cancelled)
  }

  cancel(): void {
    this.#cancelled.abort(new AsyncGenError('CANCELLED', 'The attempt was cancelled while it ran.'))
  }

  get isCancelled(): boolean {
    return this.#cancelled.signal.aborted
  }
}

const calls = new AsyncLocalStorage<Call>()

/** Runs a function so that `currentCall` finds the call it belongs to. */
export function runCall<Result>(call: Call, run: () => Result): Result {
  return calls.run(call, run)
}

export function currentCall(): Call {
  const call = calls.getStore()
  if (!call) {
    throw new AsyncGenError(
      'NO_CURRENT_ATTEMPT',
      'No attempt is being performed here. Attempt.current() works inside a call that a worker makes.',
    )
  }
  return call
}

/** Whether the call that runs has asked for its transaction. Asked in development only. */
export function isCallsTransactionOpen(): boolean {
  return process.env.NODE_ENV !== 'production' && calls.getStore()?.hasTransaction === true
}

/** The attempt of the call that runs, if it is one of the same table: ids of two tables have nothing to do with each other. */
export function currentParentId(store: AttemptStore): bigint | undefined {
  const attempt = calls.getStore()?.attempt
  return (attempt?.constructor as AttemptClass | undefined)?.store === store ? attempt?.id : undefined
}
