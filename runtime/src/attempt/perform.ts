import type { Database } from '../database.js'
import { serialize } from '../serialize.js'
import type { AttemptRecord } from './attempt.js'
import { Call, runCall } from './current.js'
import type { AttemptRow, AttemptStore, Run } from './store.js'

export type Outcome = { ok: true; row: AttemptRow | undefined } | { ok: false; error: unknown }

interface Performance {
  db: Database
  store: AttemptStore
  attempt: AttemptRecord
  run: Run
  signal: AbortSignal
  /** Finds the function to call; throws where the row names none. */
  method: () => (...args: unknown[]) => unknown
}

/**
 * Makes a claimed call and stores its success, in the call's own transaction where it asked for one. A run that was taken away
 * meanwhile (cancelled, or rescued from a worker that was thought dead) changes nothing, and its transaction rolls back.
 */
export async function perform({ db, store, attempt, run, signal, method }: Performance): Promise<Outcome> {
  const call = new Call(db, attempt, signal)
  try {
    const value = await runCall(call, () => method()(...attempt.args))
    const result = serializeResult(value)
    const transaction = await call.openedTransaction()
    const row = await store.succeed(run, result, transaction?.tx as never)
    if (row) await transaction?.commit()
    else await transaction?.rollback()
    return { ok: true, row }
  } catch (error) {
    const transaction = await call.openedTransaction().catch(() => undefined)
    await transaction?.rollback()
    return { ok: false, error }
  }
}

/** A call that was made is never made again because its result cannot be kept. */
function serializeResult(value: unknown): string {
  try {
    return serialize(value, 'The result')
  } catch (error) {
    return serialize({ notStored: (error as Error).message })
  }
}
