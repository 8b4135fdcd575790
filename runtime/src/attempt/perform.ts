import { setTimeout as sleep } from 'node:timers/promises'
import type { OpenTransaction } from '../core/database.js'
import { describeError, PermanentError } from '../core/errors.js'
import { jittered } from '../core/retry.js'
import { serialize } from '../core/serialize.js'
import { hasNotCommitted, isSerializationFailure, isTransient } from '../core/transient-errors.js'
import type { AttemptRecord } from './attempt.js'
import type { Owner } from './content.js'
import { type Call, runCall } from './current.js'
import type { AttemptStore, Run } from './store.js'
import type { AttemptClass } from './types.js'

/**
 * How a run ended: with a result, with an error, without a call, or it was no longer this worker's to end. Or it could not be ended, by no
 * fault of the call: then it was released, to run again without having been counted.
 */
export type Outcome =
  | { kind: 'succeeded'; result: string }
  | { kind: 'failed'; error: unknown }
  | { kind: 'put off' }
  | { kind: 'taken away' }
  | { kind: 'released'; error: unknown }

/** The call's transaction was lost to another one, so that nothing in it has happened, and the call can run again. */
interface Conflict {
  kind: 'conflict'
  error: unknown
  /** Whose statement failed: one of the call's own, or the runtime's that stores its success. */
  of: 'call' | 'runtime'
}

/** How often a call runs whose transaction is lost to others. */
const TRIES = 15

/** Between two of these, and before a run that was released, in milliseconds. */
const PAUSES = { first: 20, longest: 3000, released: 2000 }

/**
 * Makes a claimed call and stores its success, in the call's own transaction where it asked for one. A run that was taken away
 * meanwhile (cancelled, or rescued from a worker that was thought dead) changes nothing, and its transaction rolls back. A call
 * whose transaction is lost to another one runs again, within the same run.
 */
export async function perform(
  Attempt: AttemptClass,
  attempt: AttemptRecord,
  call: Call,
  run: Run,
  owner: Owner,
): Promise<Outcome> {
  let current = call
  for (let tries = 1; ; tries++) {
    const started = performance.now()
    const outcome = await performOnce(Attempt, attempt, current, run, owner)
    if (outcome.kind !== 'conflict') return outcome
    if (tries === TRIES || call.signal.aborted) return await giveUp(Attempt, call, run, outcome)
    // The longer a call takes, the longer it is in the way of others.
    const pause = tries * Math.max(PAUSES.first, performance.now() - started)
    await sleep(jittered(Math.min(pause, PAUSES.longest)))
    current = current.again()
  }
}

async function performOnce(
  Attempt: AttemptClass,
  attempt: AttemptRecord,
  call: Call,
  run: Run,
  owner: Owner,
): Promise<Outcome | Conflict> {
  const { content, targets } = Attempt
  try {
    const callable = (await targets()).resolve(attempt.target, attempt.method)
    const args = argumentsOf(attempt)
    const value = await runCall(call, () => callable(...args))
    const result = content.seal(serializeResult(value), owner, 'result')
    const transaction = await call.openedTransaction()
    return await (transaction ? commit(Attempt, transaction, run, result) : storeSuccess(Attempt, run, result))
  } catch (error) {
    const transaction = await call.openedTransaction().catch(() => undefined)
    await transaction?.rollback()
    if (call.isCancelled) return { kind: 'taken away' }
    return transaction && isSerializationFailure(error)
      ? { kind: 'conflict', error, of: 'call' }
      : { kind: 'failed', error }
  }
}

type Transaction = OpenTransaction<unknown>

async function storeSuccess({ store }: AttemptClass, run: Run, result: string): Promise<Outcome> {
  try {
    // Its answer may have been lost, and a second one says no.
    const isStored = (await store.succeed(run, result)) || (await store.hasSucceeded(run))
    return isStored ? { kind: 'succeeded', result } : { kind: 'taken away' }
  } catch (error) {
    if (!isTransient(error)) throw error
    store.releaseLater(run)
    return { kind: 'released', error }
  }
}

async function commit(
  { store }: AttemptClass,
  { tx, commit, rollback }: Transaction,
  run: Run,
  result: string,
): Promise<Outcome | Conflict> {
  try {
    if (!(await store.succeedWithin(tx as never, run, result))) {
      await rollback()
      return { kind: 'taken away' }
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
    return await lookAgain(store, run, result, error)
  }
}

/** A COMMIT that failed may have committed all the same: its answer was lost, or Prisma had given it up. The row knows. */
async function lookAgain(store: AttemptStore, run: Run, result: string, error: unknown): Promise<Outcome | Conflict> {
  try {
    if (await store.hasSucceeded(run)) return { kind: 'succeeded', result }
  } catch {
    store.releaseLater(run)
    return { kind: 'released', error }
  }
  if (!isTransient(error)) throw error
  return { kind: 'conflict', error, of: 'runtime' }
}

async function giveUp({ store }: AttemptClass, call: Call, run: Run, { error, of }: Conflict): Promise<Outcome> {
  if (call.isCancelled) return { kind: 'taken away' }
  if (of === 'call') return { kind: 'failed', error }
  await store.release(run, call.signal.aborted ? 0 : jittered(PAUSES.released))
  return { kind: 'released', error }
}

/** A row that was written by hand may hold anything; the text "no" is not the arguments "n" and "o". */
function argumentsOf({ args }: AttemptRecord): unknown[] {
  if (Array.isArray(args)) return args
  throw new PermanentError('The args of the row are no list, as the arguments of a call have to be: [1, "two"].')
}

/** A call that was made is never made again because its result cannot be kept. */
function serializeResult(value: unknown): string {
  try {
    return serialize(value, 'The result')
  } catch (error) {
    return serialize({ notStored: describeError(error).message })
  }
}
