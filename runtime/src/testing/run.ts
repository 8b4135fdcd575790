import type { AttemptClass, AttemptRecord } from '../attempt/attempt.js'
import { claim } from '../attempt/claim.js'
import { reasonOfBlock } from '../attempt/dependencies/reason.js'
import { performClaimed } from '../attempt/lifecycle.js'
import type { ClaimedRun } from '../attempt/run-store.js'
import { AsyncGenError, InvalidStateError } from '../core/errors.js'
import { requireArgument } from './arguments.js'
import { tracked } from './awaited.js'
import { contextsOf } from './database-context.js'
import { waitOf } from './due.js'

/** What a run threw. The value may be undefined. */
interface Thrown {
  thrown: unknown
}

export interface RunReport {
  /** What the call threw, whatever the hooks made of it. */
  error: Thrown | undefined
}

/**
 * Runs a call in this process, as a worker would: it claims the row, performs the call with its transaction and its hooks, and stores the
 * end. Returns undefined if the call is not due, paused, expired or locked.
 */
export async function run(attempt: AttemptRecord): Promise<RunReport | undefined> {
  const { claimed } = await claim(classOf(attempt), attempt.id)
  if (!claimed) return undefined
  return await runClaimed(attempt, claimed)
}

/** Runs a call that is claimed. */
export async function runClaimed(attempt: AttemptRecord, claimed: ClaimedRun): Promise<RunReport> {
  return await reportErrorOf(attempt, () => performClaimed(attempt, claimed))
}

/**
 * Runs a recorded call now, as a worker would, and returns what it returned. A call that is scheduled for later runs as if its time had
 * come.
 *
 *     const attempt = await Attempt.async(OrderClient).fulfill({ orderNumber: 7 })
 *     expect(await perform(attempt)).toEqual({ parcel: 'parcel-7' })
 *
 * @param options `rethrow`: whether an error of the call is thrown. Default: true. It is recorded in the row in any case.
 * @throws what the call threw; why the end of the run could not be stored; InvalidStateError unless the attempt is pending;
 * AsyncGenError CALL_NOT_RUN if it is blocked, paused, expired, locked, or waits for its limit
 */
export async function perform<Attempt extends AttemptRecord>(
  attempt: Attempt,
  { rethrow = true }: { rethrow?: boolean } = {},
): Promise<Attempt['result']> {
  requireArgument('perform', 'Attempt', attempt)
  return await tracked('perform()', () => performNow(attempt, rethrow))
}

async function performNow<Attempt extends AttemptRecord>(
  attempt: Attempt,
  rethrow: boolean,
): Promise<Attempt['result']> {
  const claimed = await claimAsDue(attempt)
  const { error } = await runClaimed(attempt, claimed)
  if (error && rethrow) throw error.thrown
  return attempt.result
}

/**
 * Claims a call as if its time had come.
 * @throws InvalidStateError, AsyncGenError CALL_NOT_RUN
 */
export async function claimAsDue(attempt: AttemptRecord) {
  const Attempt = classOf(attempt)
  const { db, store } = Attempt
  const { claimed, waits } = await contextsOf(db).runAhead(async (advance) => {
    advance(await waitOf(db, store.table, attempt.id))
    return await claim(Attempt, attempt.id)
  })
  if (claimed) return claimed
  const label = `${Attempt.name} ${attempt.id} (${attempt.target}.${attempt.method})`
  if (!(await store.find(attempt.id))) {
    throw new AsyncGenError(
      'CALL_NOT_RUN',
      `perform() could not run ${label}: its row does not exist. If it was recorded in a transaction that is still open, ` +
        'use inRollback(prisma, …) or drain(db, { tx }).',
    )
  }
  await attempt.reload()
  if (attempt.isBlocked) {
    throw new AsyncGenError('CALL_NOT_RUN', `perform() could not run ${label}: ${await reasonOfBlock(attempt, store)}.`)
  }
  if (!attempt.isPending) {
    const remedy = attempt.isRunning ? ' If loseRun() has run it, drain(db) releases it first.' : ''
    throw new InvalidStateError(`Cannot perform ${label}: its status is ${attempt.status}.${remedy}`)
  }
  const why = attempt.hasExpired
    ? `it has expired at ${attempt.expiresAt!.toISOString()}`
    : waits
      ? `it waits for the limit ${JSON.stringify(attempt.limitKey)}`
      : 'it is paused, or another transaction has locked its row'
  throw new AsyncGenError('CALL_NOT_RUN', `perform() could not run ${label}: ${why}.`)
}

/**
 * Runs a claimed call, and finds out what it threw: the row has only a description of the error.
 * @throws why the end of the run could not be stored
 */
async function reportErrorOf(
  attempt: AttemptRecord,
  runClaimed: () => Promise<Thrown | undefined>,
): Promise<RunReport> {
  const own = Object.getOwnPropertyDescriptor(attempt, 'handlePerformError')
  const { handlePerformError } = attempt
  const report: RunReport = { error: undefined }
  attempt.handlePerformError = async (thrown) => {
    report.error = { thrown }
    await handlePerformError.call(attempt, thrown)
  }
  try {
    const notStored = await runClaimed()
    if (notStored) throw notStored.thrown
    return report
  } finally {
    if (own) Object.defineProperty(attempt, 'handlePerformError', own)
    else Reflect.deleteProperty(attempt, 'handlePerformError')
  }
}

function classOf(attempt: AttemptRecord): AttemptClass {
  return attempt.constructor as AttemptClass
}
