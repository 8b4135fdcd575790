import type { AttemptClass, AttemptRecord } from '../attempt/attempt.js'
import { performClaimed } from '../attempt/lifecycle.js'
import type { ClaimedRun } from '../attempt/run-store.js'
import { InvalidStateError } from '../core/errors.js'
import type { RowId } from '../core/row-id.js'
import type { Statement } from '../core/statement.js'
import { requireArgument } from './arguments.js'
import { tracked } from './awaited.js'
import { claimAsDue } from './run.js'

/**
 * Runs a call and loses its end, as if the worker had been killed after the effects of the call and before it could store the result: what the
 * call wrote through its transaction rolls back, all else has happened, and the row belongs to a worker that is gone. The next `drain` or
 * sweep releases the row, and the call runs again. A call is idempotent if nothing has happened twice then:
 *
 *     await loseRun(attempt)
 *     await drain(db)
 *     expect(await parcelsOf(order)).toBe(1)
 *
 * @throws InvalidStateError unless the attempt is pending; AsyncGenError CALL_NOT_RUN if it is paused, expired or locked
 */
export async function loseRun(attempt: AttemptRecord): Promise<void>
export async function loseRun(Attempt: AttemptClass, id: RowId): Promise<void>
export async function loseRun(given: AttemptRecord | AttemptClass, id?: RowId): Promise<void> {
  requireArgument('loseRun', typeof given === 'function' ? 'class' : 'Attempt', given)
  await tracked('loseRun()', async () => lose(typeof given === 'function' ? await found(given, id!) : given))
}

async function lose(attempt: AttemptRecord): Promise<void> {
  const claimed = await claimAsDue(attempt)
  await handToLostWorker(attempt.constructor as AttemptClass, claimed)
  // The run is superseded, so the worker's code stores nothing and rolls the transaction back.
  const notStored = await performClaimed(attempt, claimed)
  if (notStored) throw notStored.thrown
}

async function found(Attempt: AttemptClass, id: RowId): Promise<AttemptRecord> {
  const attempt = await Attempt.find(id)
  if (attempt) return attempt
  throw new InvalidStateError(`${Attempt.name} ${id} does not exist.`)
}

async function handToLostWorker({ db, store }: AttemptClass, { run }: ClaimedRun): Promise<void> {
  await db.query(handOver(store.table), [run.id, run.number, run.worker])
}

/** No worker ever gets an id that was taken from the sequence. */
const handOver = (table: string): Statement => ({
  name: `${table}:hand-over`,
  once: true,
  text: `
    -- $1 id, $2 run number, $3 worker
    UPDATE "${table}" SET locked_by = nextval(pg_get_serial_sequence('async_workers', 'id'))
    WHERE id = $1 AND num_attempts = $2 AND locked_by = $3`,
})
