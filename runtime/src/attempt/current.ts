import { AsyncLocalStorage } from 'node:async_hooks'
import type { Database, OpenTransaction, TransactionOf } from '../database.js'
import { AsyncGenError } from '../errors.js'
import type { AttemptRecord } from './attempt.js'

/** What a call can ask for while it runs, through `Attempt.current()`. */
export class Call {
  readonly attempt: AttemptRecord
  /** Aborts when the worker has to stop before the call is done. */
  readonly signal: AbortSignal
  readonly #db: Database
  #transaction: Promise<OpenTransaction<unknown>> | undefined

  constructor(db: Database, attempt: AttemptRecord, signal: AbortSignal) {
    this.#db = db
    this.attempt = attempt
    this.signal = signal
  }

  /**
   * The call's own transaction, opened when it is first asked for. What is written through it is committed together with
   * the attempt's success, so it happens exactly once; when the call fails it is rolled back.
   */
  readonly tx = async (): Promise<TransactionOf<unknown>> => {
    this.#transaction ??= this.#db.openTransaction()
    return (await this.#transaction).tx
  }

  /** The transaction, if the call asked for one. */
  async openedTransaction(): Promise<OpenTransaction<unknown> | undefined> {
    return await this.#transaction
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

export function currentParentId(): bigint | undefined {
  return calls.getStore()?.attempt.id
}
