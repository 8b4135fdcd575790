import { setTimeout as sleep } from 'node:timers/promises'
import { AsyncGenError, describeError, InvalidArgumentsError, isInstance, PermanentError } from '../core/errors.js'
import type { OpenTransaction } from '../core/prisma/transaction.js'
import { jittered } from '../core/retry.js'
import { serialize } from '../core/serialize.js'
import { hasNotCommitted, isSerializationFailure, isTransient } from '../core/transient-errors.js'
import { checkArguments } from './arguments.js'
import { AwaitedMethod } from './awaited-method.js'
import type { BoundClass } from './binding.js'
import { type CurrentCall, type RunControl, runCall } from './current.js'
import type { AttemptFields } from './fields.js'
import { limitKey } from './limits/list.js'
import type { RunKey } from './row.js'
import type { RunEnd, RunStore } from './run-store.js'
import { Snooze } from './snooze.js'
import { rollbackSoon, withinTimeLimit } from './time-limit.js'

/**
 * How a run ended. `postponed`: the call did not run. `superseded`: the run was cancelled, changed by the call itself, or rescued by another
 * worker. `released`: the end could not be stored, by no fault of the call, so it runs again and this run is not counted.
 */
export type RunOutcome =
  | { kind: 'succeeded'; result: string }
  | { kind: 'snoozed' }
  | { kind: 'failed'; error: unknown }
  | { kind: 'postponed' }
  | { kind: 'superseded' }
  | { kind: 'released'; error: unknown }

/** The transaction of the call conflicted with another one and rolled back, so the call can run again. */
interface Conflict {
  kind: 'conflict'
  error: unknown
  /** Whose statement failed: one of the call, or the runtime's statement that stores the end of the run. */
  of: 'call' | 'runtime'
}

/** A claimed run of a call. */
export interface CallRun {
  key: RunKey
  control: RunControl
  /** The hook of the attempt that runs the call; undefined if the class does not override it. */
  around: ((next: () => Promise<unknown>) => Promise<unknown>) | undefined
}

/** How often a call runs whose transaction conflicts. */
const TRIES = 15

/** Pauses between these runs, and the delay after a release, in milliseconds. */
const PAUSES = { first: 20, longest: 3000, released: 2000 }

/**
 * Runs a claimed call and stores its success or its snooze: in the transaction of the call, if it asked for one. A superseded run changes
 * nothing, and its transaction rolls back. A call whose transaction conflicts with another one runs again, within the same run.
 */
export async function perform(call: CurrentCall, run: CallRun): Promise<RunOutcome> {
  const { runs } = classOf(call).store
  for (let tries = 1, current = call; ; tries++, current = current.again()) {
    const started = performance.now()
    const outcome = await performOnce(current, run)
    if (outcome.kind !== 'conflict') return outcome
    if (tries === TRIES || run.control.isAborted) return await giveUp(runs, run, outcome)
    // A long call blocks others for longer, so its pause is longer too.
    const pause = tries * Math.max(PAUSES.first, performance.now() - started)
    await sleep(Math.min(jittered(Math.min(pause, PAUSES.longest)), run.control.left))
  }
}

async function performOnce(call: CurrentCall, run: CallRun): Promise<RunOutcome | Conflict> {
  const { attempt } = call
  const { content, db, store } = classOf(call)
  try {
    const value = await runMethod(call, run)
    const isSnooze = isInstance(value, Snooze)
    if (run.control.hasSnoozed && !isSnooze) warnOfLostSnooze(attempt)
    const end: RunEnd = isSnooze
      ? { delay: value.delay, snoozes: attempt.snoozes + 1 }
      : { result: content.seal(serializeResult(value), attempt, 'result') }
    const transaction = await call.end()
    return await (transaction ? commit(store.runs, transaction, run.key, end) : storeEnd(store.runs, run.key, end))
  } catch (error) {
    const { timeout, isCancelled } = run.control
    if (timeout) {
      await rollbackSoon(db, call)
      return isCancelled ? { kind: 'superseded' } : { kind: 'failed', error: timeout }
    }
    const transaction = await call.end().catch(() => undefined)
    await transaction?.rollback()
    if (isCancelled) return { kind: 'superseded' }
    if (isInstance(error, Snooze)) return { kind: 'failed', error: thrownSnooze() }
    return transaction && isSerializationFailure(error)
      ? { kind: 'conflict', error, of: 'call' }
      : { kind: 'failed', error }
  }
}

/** Runs the method, with its arguments checked, within its time limit. */
async function runMethod(call: CurrentCall, { control, around }: CallRun): Promise<unknown> {
  const { attempt } = call
  const { db, targets } = classOf(call)
  const list = await targets()
  const callable = list.resolve(attempt.target, attempt.method)
  const { path, timeout, schemas, limit } = list.settingsOf(attempt.target, attempt.method)
  const run = () =>
    runCall(call, async () => {
      const given = argumentsOf(attempt)
      if (limit && attempt.limitKey === null) requireLimitKey(control, limit, path, given)
      const args = schemas ? await checkStored(control, path, schemas, given) : given
      const next = async () => {
        // The time limit may have ended the run while a schema or `around` waited.
        call.requireRunning()
        return await callable(...args)
      }
      if (!around) return await next()
      const method = new AwaitedMethod(next)
      const value = await around(method.next)
      await method.settled()
      return value
    })
  control.limit = attempt.timeoutMs ?? timeout
  return await (control.limit === undefined ? run() : withinTimeLimit(db, call, control, control.limit, run))
}

function classOf({ attempt }: CurrentCall): BoundClass {
  return attempt.constructor as unknown as BoundClass
}

type Transaction = OpenTransaction<unknown>

async function storeEnd(runs: RunStore, run: RunKey, end: RunEnd): Promise<RunOutcome> {
  try {
    // If the first answer was lost, the repeated statement finds no run to end.
    const isStored = (await runs.end(run, end)) || (await runs.hasEnded(run, end))
    return isStored ? outcomeOf(end) : { kind: 'superseded' }
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
  end: RunEnd,
): Promise<RunOutcome | Conflict> {
  let outcome = outcomeOf(end)
  try {
    if (!(await runs.endWithin(tx as never, run, end))) {
      outcome = { kind: 'superseded' }
      // A call may set its own row, in place of a snooze. That is a reason to commit.
      if (!(await runs.wasChangedWithin(tx as never, run))) {
        await rollback()
        if (await runs.isRunning(run)) throw changedByItself()
        return outcome
      }
    }
  } catch (error) {
    if (!isTransient(error)) throw error
    await rollback()
    return { kind: 'conflict', error, of: 'runtime' }
  }
  try {
    await commit()
    return outcome
  } catch (error) {
    if (hasNotCommitted(error)) return { kind: 'conflict', error, of: 'runtime' }
    return await afterFailedCommit(runs, run, end, error)
  }
}

function changedByItself(): AsyncGenError {
  return new AsyncGenError(
    'OWN_ROW_CHANGED',
    'The call deleted its own row in its transaction, or changed its locked_by or num_attempts, so that its success cannot be stored. ' +
      'The transaction was rolled back. To run again later, return snooze(), or set only status and scheduled_at.',
  )
}

/** A COMMIT that failed may have committed: its answer was lost, or Prisma stopped waiting for it. The row tells. */
async function afterFailedCommit(
  runs: RunStore,
  run: RunKey,
  end: RunEnd,
  error: unknown,
): Promise<RunOutcome | Conflict> {
  try {
    if (await runs.hasEnded(run, end)) return outcomeOf(end)
  } catch {
    runs.releaseLater(run)
    return { kind: 'released', error }
  }
  if (!isTransient(error)) throw error
  return { kind: 'conflict', error, of: 'runtime' }
}

async function giveUp(runs: RunStore, { key, control }: CallRun, { error, of }: Conflict): Promise<RunOutcome> {
  if (control.isCancelled) return { kind: 'superseded' }
  if (of === 'call') return { kind: 'failed', error }
  await runs.release(key, control.isAborted ? 0 : jittered(PAUSES.released))
  return { kind: 'released', error }
}

function outcomeOf(end: RunEnd): RunOutcome {
  return 'result' in end ? { kind: 'succeeded', result: end.result } : { kind: 'snoozed' }
}

/** A row that was written by hand may hold anything. Spread, the text "no" would be the two arguments "n" and "o". */
function argumentsOf({ args }: AttemptFields): unknown[] {
  if (Array.isArray(args)) return args
  throw new PermanentError('The column args of the row holds no JSON array. Arguments are an array: [1, "two"].')
}

/** Checks the arguments of a row. They never change, so another run would fail in the same way. */
async function checkStored(control: RunControl, ...check: Parameters<typeof checkArguments>): Promise<unknown[]> {
  try {
    return await checkArguments(...check)
  } catch (error) {
    control.isFinal = isInstance(error, InvalidArgumentsError)
    throw error
  }
}

/** The claim could not compute the key, so it counts for no limit. Another run would fail in the same way. */
function requireLimitKey(control: RunControl, ...call: Parameters<typeof limitKey>): void {
  try {
    limitKey(...call)
  } catch (error) {
    control.isFinal = true
    throw error
  }
}

function warnOfLostSnooze({ id, target, method }: AttemptFields): void {
  process.emitWarning(
    `${target}.${method} of attempt ${id} called snooze() and returned something else, so it does not run again. Return what snooze() returns.`,
    { code: 'SNOOZE_NOT_RETURNED' },
  )
}

function thrownSnooze(): AsyncGenError {
  return new AsyncGenError(
    'INVALID_OPTION',
    'The call threw what snooze() returns. It must return it: return snooze(…).',
  )
}

/** A result that cannot be stored does not make the call run again. */
function serializeResult(value: unknown): string {
  try {
    return serialize(value, 'The result')
  } catch (error) {
    return serialize({ notStored: describeError(error).message })
  }
}
