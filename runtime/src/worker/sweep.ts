import type { Task } from 'graphile-worker'
import type { Database } from '../core/database.js'
import { livingWorkers } from '../core/living-workers.js'
import type { Query, Statement } from '../core/statement.js'
import { type SweptTable, sweptTables } from '../core/swept-table.js'
import { instrumentsItself } from '../telemetry/instrument.js'

/** How many thousands of due rows a sweep checks for missing jobs. With more due rows, later sweeps check the others. */
const PAGES = 10

/** What a sweep has done. */
export interface SweepResult {
  /** Workers that were found dead. */
  dead: number
  /** Rows that were released from dead workers. */
  rescued: number
  /** Attempts that expired before a run began. */
  expired: number
  /** Due rows without a job, for which a job was added; also those that waited for nothing any more. */
  enqueued: number
}

/**
 * Repairs the queue: unlocks the jobs of dead workers, releases the rows that they had claimed, and adds a job for each due row that has
 * none. Only one process at a time does it; for the others it is a no-op.
 *
 * @throws the error of a table (its migration has not run yet, for example), after the other tables were swept
 */
export async function sweep(db: Database): Promise<SweepResult> {
  const result = await sweepTables(db)
  for (const table of sweptTables(db)) result.enqueued += (await table.enqueueResumed?.()) ?? 0
  return result
}

/** A sweep without the rows whose pause has ended. They may be millions, and this part must be quick: it notices dead workers. */
export async function sweepTables(db: Database): Promise<SweepResult> {
  const result = nothingDone()
  const errors: unknown[] = []
  await db.transaction(async (query) => {
    Object.assign(result, nothingDone())
    errors.length = 0
    const [lock] = await query<{ acquired: boolean }>(lockSweep, [])
    if (!lock?.acquired) return
    // Jobs first, so that a released row finds its own job unlocked.
    result.dead = await unlockJobsOfDeadWorkers(query)
    for (const table of sweptTables(db)) {
      await query(savepoint, [])
      try {
        result.rescued += await table.rescue(query)
        result.expired += (await table.expire?.(query)) ?? 0
        result.enqueued += (await table.repair?.(query)) ?? 0
        result.enqueued += await table.enqueueDue(query, PAGES)
      } catch (error) {
        errors.push(error)
        await query(rollbackToSavepoint, [])
      }
    }
  })
  if (errors.length > 0) throw errors[0]
  return result
}

/** What the maintenance has to do. */
export interface DueMaintenance {
  /** A sweep may have something to do. */
  sweep: boolean
  /** There are pauses, in force or ended. */
  pauses: boolean
}

/** Finds out with one statement what the maintenance has to do: a sweep of all tables takes some twenty. */
export async function dueMaintenance(db: Database): Promise<DueMaintenance> {
  const [due] = await db.query<DueMaintenance>(findDueMaintenance([...sweptTables(db)]), [])
  return due!
}

function nothingDone(): SweepResult {
  return { dead: 0, rescued: 0, expired: 0, enqueued: 0 }
}

/**
 * Removes jobs of attempts and toasts without a key and without remaining tries: another job of the same row replaced them while they ran,
 * and then their worker died. Failed jobs of the host's own tasks stay.
 */
export async function removeReplacedJobs(db: Database): Promise<void> {
  const tasks = [...sweptTables(db)].flatMap((table) => [...table.tasks])
  await db.query(removeReplaced, [tasks])
}

/** The Graphile Worker task `sweep`, for a sweep at any time: `SELECT graphile_worker.add_job('sweep')`. */
export function sweepTask(db: Database): Task {
  return instrumentsItself<Task>(async (_payload, { logger }) => {
    const { rescued, expired, enqueued } = await sweep(db)
    logger.info(`swept: ${rescued} rows released, ${expired} attempts expired, ${enqueued} jobs added`)
  })
}

/**
 * Graphile Worker itself unlocks them after four hours. A statement that a worker sent before it died may lock jobs after its death was
 * recorded. So each sweep unlocks the jobs of all pools that ended in the last five minutes, and again when the worker's row is deleted.
 */
async function unlockJobsOfDeadWorkers(query: Query): Promise<number> {
  const dead = await query<{ id: number }>(markDeadWorkers, [])
  const ended = await query<{ pool_id: string }>(findEndedPools, [])
  const deleted = await query<{ pool_id: string | null }>(deleteDeadWorkers, [])
  const pools = [...ended, ...deleted].flatMap(({ pool_id }) => pool_id ?? [])
  if (pools.length > 0) {
    const replaced = await query<{ id: string }>(findReplacedJobs, [pools])
    await query(unlockJobs, [pools])
    await query(removeJobs, [replaced.map(({ id }) => id)])
  }
  return dead.length
}

const lockSweep: Statement = {
  name: 'async-gen:lock-sweep',
  text: `SELECT pg_try_advisory_xact_lock(hashtextextended('async-gen:sweep', 0)) AS acquired`,
}

const findDueMaintenance = (tables: SweptTable[]): Statement => ({
  name: `async-gen:due-maintenance:${tables.map(({ table }) => table).join()}`,
  text: `
    SELECT
      EXISTS (SELECT FROM async_workers WHERE ended_at IS NULL AND id NOT IN (${livingWorkers}))
      OR EXISTS (SELECT FROM async_workers WHERE ended_at > now() - interval '5 minutes' AND pool_id IS NOT NULL)
      OR EXISTS (SELECT FROM async_workers WHERE ended_at < now() - interval '1 hour')
      ${tables.map(({ mayNeedSweep }) => `OR ${mayNeedSweep}`).join('')} AS sweep,
      EXISTS (SELECT FROM async_pauses) AS pauses`,
})

const savepoint: Statement = { name: 'async-gen:savepoint', text: 'SAVEPOINT before_table' }

const rollbackToSavepoint: Statement = {
  name: 'async-gen:rollback-to-savepoint',
  text: 'ROLLBACK TO SAVEPOINT before_table',
}

const markDeadWorkers: Statement = {
  name: 'async-gen:mark-dead-workers',
  text: `
    UPDATE async_workers SET ended_at = clock_timestamp()
    WHERE ended_at IS NULL AND id NOT IN (${livingWorkers})
    RETURNING id`,
}

const findEndedPools: Statement = {
  name: 'async-gen:find-ended-pools',
  text: `SELECT pool_id FROM async_workers WHERE ended_at > now() - interval '5 minutes' AND pool_id IS NOT NULL`,
}

const deleteDeadWorkers: Statement = {
  name: 'async-gen:delete-dead-workers',
  text: `DELETE FROM async_workers WHERE ended_at < now() - interval '1 hour' RETURNING pool_id`,
}

// When a job is added under the key of a running one, Graphile Worker removes the key of that one and sets its attempts to the maximum. If
// its worker dies, it would stay for ever, although the new job does the work.
const findReplacedJobs: Statement = {
  name: 'async-gen:find-replaced-jobs',
  text: `
    SELECT id FROM graphile_worker.jobs
    WHERE locked_by = ANY ($1::text[]) AND key IS NULL AND attempts >= max_attempts AND updated_at > locked_at`,
}

// Every job of these tasks has a key until it is replaced. A locked job may still run.
const removeReplaced: Statement = {
  name: 'async-gen:remove-replaced-jobs',
  text: `
    SELECT count(*) FROM graphile_worker.complete_jobs(ARRAY(
      SELECT id FROM graphile_worker.jobs
      WHERE task_identifier = ANY ($1::text[]) AND key IS NULL AND locked_at IS NULL AND attempts >= max_attempts
    ))`,
}

const unlockJobs: Statement = {
  name: 'async-gen:unlock-jobs',
  text: 'SELECT graphile_worker.force_unlock_workers($1::text[])',
}

const removeJobs: Statement = {
  name: 'async-gen:remove-jobs',
  text: 'SELECT count(*) FROM graphile_worker.complete_jobs($1::bigint[])',
}
