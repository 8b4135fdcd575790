import { setTimeout as sleep } from 'node:timers/promises'
import { describeError, PermanentError } from '../core/errors.js'
import type { OpenTransaction } from '../core/prisma/transaction.js'
import { jittered } from '../core/retry.js'
import { serialize } from '../core/serialize.js'
import { hasNotCommitted, isSerializationFailure, isTransient } from '../core/transient-errors.js'
import type { BoundClass } from './binding.js'
import { type CurrentCall, runCall } from './current.js'
import type { AttemptFields } from './fields.js'
import type { RunKey } from './row.js'
import type { RunStore } from './run-store.js'

/**
 * How a run ended. `postponed`: the call did not run. `superseded`: the run was cancelled, or rescued by another worker. `released`: the
 * end could not be stored, by no fault of the call, so it runs again and this run is not counted.
 */
export type RunOutcome =
  | { kind: 'succeeded'; result: string }
  | { kind: 'failed'; error: unknown }
  | { kind: 'postponed' }
  | { kind: 'superseded' }
  | { kind: 'released'; error: unknown }

/** The transaction of the call conflicted with another one and rolled back, so the call can run again. */
interface Conflict {
  kind: 'conflict'
  error: unknown
  /** Whose statement failed: one of the call, or the runtime's statement that stores the success. */
  of: 'call' | 'runtime'
}

/** How often a call runs whose transaction conflicts. */
const TRIES = 15

/** Pauses between these runs, and the delay after a release, in milliseconds. */
const PAUSES = { first: 20, longest: 3000, released: 2000 }

/**
 * Runs a claimed call and stores its success: in the transaction of the call, if it asked for one. A superseded run changes nothing, and
 * its transaction rolls back. A call whose transaction conflicts with another one runs again, within the same run.
 */
export async function perform(call: CurrentCall, run: RunKey): Promise<RunOutcome> {
  const { runs } = classOf(call).store
  for (let tries = 1, current = call; ; tries++, current = current.again()) {
    const started = performance.now()
    const outcome = await performOnce(current, run)
    if (outcome.kind !== 'conflict') return outcome
    if (tries === TRIES || call.signal.aborted) return await giveUp(runs, call, run, outcome)
    // A long call blocks others for longer, so its pause is longer too.
    const pause = tries * Math.max(PAUSES.first, performance.now() - started)
    await sleep(jittered(Math.min(pause, PAUSES.longest)))
  }
}

async function performOnce(call: CurrentCall, run: RunKey): Promise<RunOutcome | Conflict> {
  const { attempt } = call
  const { content, targets, store } = classOf(call)
  try {
    const callable = (await targets()).resolve(attempt.target, attempt.method)
    const args = argumentsOf(attempt)
    const value = await runCall(call, () => callable(...args))
    const result = content.seal(serializeResult(value), attempt, 'result')
    const transaction = await call.end()
    return await (transaction ? commit(store.runs, transaction, run, result) : storeSuccess(store.runs, run, result))
  } catch (error) {
    const transaction = await call.end().catch(() => undefined)
    await transaction?.rollback()
    if (call.isCancelled) return { kind: 'superseded' }
    return transaction && isSerializationFailure(error)
      ? { kind: 'conflict', error, of: 'call' }
      : { kind: 'failed', error }
  }
}

function classOf({ attempt }: CurrentCall): BoundClass {
  return attempt.constructor as unknown as BoundClass
}

type Transaction = OpenTransaction<unknown>

async function storeSuccess(runs: RunStore, run: RunKey, result: string): Promise<RunOutcome> {
  try {
    // If the first answer was lost, the repeated statement finds no run to end.
    const isStored = (await runs.succeed(run, result)) || (await runs.hasSucceeded(run))
    return isStored ? { kind: 'succeeded', result } : { kind: 'superseded' }
  } catch (error) {
    if (!isTransient(error)) throw error
    runs.releaseLater(run)
    return { kind: 'released', error }
  }
}

async function commit(
  runs: RunStore,
  { tx, commit, rollback }: Transaction,
  run: RunKey,
  result: string,
): Promise<RunOutcome | Conflict> {
  try {
    if (!(await runs.succeedWithin(tx as never, run, result))) {
      await rollback()
      return { kind: 'superseded' }
    }
  } catch (error) {
    if (!isTransient(error)) throw error
    await rollback()
    return { kind: 'conflict', error, of: 'runtime' }
  }
  try {
    await commit()
    return { kind: 'succeeded', result }
  } catch (error) {
    if (hasNotCommitted(error)) return { kind: 'conflict', error, of: 'runtime' }
    return await afterFailedCommit(runs, run, result, error)
  }
}

/** A COMMIT that failed may have committed: its answer was lost, or Prisma stopped waiting for it. The row tells. */
async function afterFailedCommit(
  runs: RunStore,
  run: RunKey,
  result: string,
  error: unknown,
): Promise<RunOutcome | Conflict> {
  try {
    if (await runs.hasSucceeded(run)) return { kind: 'succeeded', result }
  } catch {
    runs.releaseLater(run)
    return { kind: 'released', error }
  }
  if (!isTransient(error)) throw error
  return { kind: 'conflict', error, of: 'runtime' }
}

async function giveUp(runs: RunStore, call: CurrentCall, run: RunKey, { error, of }: Conflict): Promise<RunOutcome> {
  if (call.isCancelled) return { kind: 'superseded' }
  if (of === 'call') return { kind: 'failed', error }
  await runs.release(run, call.signal.aborted ? 0 : jittered(PAUSES.released))
  return { kind: 'released', error }
}

/** A row that was written by hand may hold anything. Spread, the text "no" would be the two arguments "n" and "o". */
function argumentsOf({ args }: AttemptFields): unknown[] {
  if (Array.isArray(args)) return args
  throw new PermanentError('The column args of the row holds no JSON array. Arguments are an array: [1, "two"].')
}

/** A result that cannot be stored does not make the call run again. */
function serializeResult(value: unknown): string {
  try {
    return serialize(value, 'The result')
  } catch (error) {
    return serialize({ notStored: describeError(error).message })
  }
}
