import type { Task } from 'graphile-worker'
import type { Database } from '../core/database.js'
import { livingWorkers } from '../core/living-workers.js'
import type { Query, Statement } from '../core/statement.js'
import { sweptTables } from '../core/swept-table.js'
import { instrumentsItself } from '../telemetry/instrument.js'

/**
 * Of how many thousands of rows that are due a sweep sees whether they have their jobs. Where more wait, the others have time: once
 * those before them have had their turn, they are seen.
 */
const PAGES = 10

/** What a sweep found to do. */
export interface Swept {
  /** Workers that had ended without finishing what they had in hand. */
  dead: number
  /** Rows taken back from dead workers. */
  rescued: number
  /** Rows that were due and had no job. */
  enqueued: number
}

/**
 * Puts right what was left behind: frees the jobs of dead workers, sends their rows back to wait, and gives a job to every
 * row that is due and has none. One process at a time does it; for the others it is a no-op.
 *
 * @throws what went wrong with a table (its migration was not applied yet, say), once the others are swept
 */
export async function sweep(db: Database): Promise<Swept> {
  const swept: Swept = { dead: 0, rescued: 0, enqueued: 0 }
  const failures: unknown[] = []
  await db.transaction(async (query) => {
    Object.assign(swept, { dead: 0, rescued: 0, enqueued: 0 })
    failures.length = 0
    const [lock] = await query<{ taken: boolean }>(takeTurn, [])
    if (!lock?.taken) return
    // Jobs first: a row that is sent back then finds its own job free again.
    swept.dead = await freeJobsOfDeadWorkers(query)
    for (const table of sweptTables(db)) {
      await query(beforeTable, [])
      try {
        swept.rescued += await table.rescue(query)
        swept.enqueued += await table.enqueueDue(query, PAGES)
      } catch (error) {
        failures.push(error)
        await query(asBeforeTable, [])
      }
    }
  })
  if (failures.length > 0) throw failures[0]
  return swept
}

/**
 * Removes jobs of attempts and toasts that have lost their key and their attempts: another job of the same row has replaced them while
 * they ran, and their worker has died. Jobs of the host's own tasks that have failed for good stay.
 */
export async function removeReplacedJobs(db: Database): Promise<void> {
  const tasks = [...sweptTables(db)].flatMap((table) => [...table.tasks])
  await db.query(removeReplaced, [tasks])
}

/** The Graphile Worker task `sweep`, for those who want one out of turn: `SELECT graphile_worker.add_job('sweep')`. */
export function sweepTask(db: Database): Task {
  return instrumentsItself<Task>(async (_payload, { logger }) => {
    const { rescued, enqueued } = await sweep(db)
    logger.info(`swept: ${rescued} rescued, ${enqueued} enqueued`)
  })
}

/**
 * Graphile Worker itself would wait for four hours. A worker may have died while its fetch was still on its way to the database, or its
 * commit: then its jobs are locked after its death was seen. So the jobs of every pool that has ended lately are freed at each sweep,
 * and once more when the pool is forgotten.
 */
async function freeJobsOfDeadWorkers(query: Query): Promise<number> {
  const dead = await query<{ id: number }>(recordDeaths, [])
  const ended = await query<{ pool_id: string }>(findEndedPools, [])
  const forgotten = await query<{ pool_id: string | null }>(forgetWorkers, [])
  const pools = [...ended, ...forgotten].flatMap(({ pool_id }) => pool_id ?? [])
  if (pools.length > 0) {
    const replaced = await query<{ id: string }>(findReplacedJobs, [pools])
    await query(unlockJobs, [pools])
    await query(removeJobs, [replaced.map(({ id }) => id)])
  }
  return dead.length
}

const takeTurn: Statement = {
  name: 'async-gen:take-turn',
  text: `SELECT pg_try_advisory_xact_lock(hashtextextended('async-gen:sweep', 0)) AS taken`,
}

const beforeTable: Statement = { name: 'async-gen:before-table', text: 'SAVEPOINT before_table' }

const asBeforeTable: Statement = { name: 'async-gen:as-before-table', text: 'ROLLBACK TO SAVEPOINT before_table' }

const recordDeaths: Statement = {
  name: 'async-gen:record-deaths',
  text: `
    UPDATE async_workers SET ended_at = clock_timestamp()
    WHERE ended_at IS NULL AND id NOT IN (${livingWorkers})
    RETURNING id`,
}

const findEndedPools: Statement = {
  name: 'async-gen:find-ended-pools',
  text: `SELECT pool_id FROM async_workers WHERE ended_at > now() - interval '5 minutes' AND pool_id IS NOT NULL`,
}

const forgetWorkers: Statement = {
  name: 'async-gen:forget-workers',
  text: `DELETE FROM async_workers WHERE ended_at < now() - interval '1 hour' RETURNING pool_id`,
}

// Adding a job under the key of one that runs takes that key away and sets its attempts to the maximum, expecting it to end
// soon. Where its worker dies instead, it would stay for ever: the job that replaced it does the work.
const findReplacedJobs: Statement = {
  name: 'async-gen:find-replaced-jobs',
  text: `
    SELECT id FROM graphile_worker.jobs
    WHERE locked_by = ANY ($1::text[]) AND key IS NULL AND attempts >= max_attempts AND updated_at > locked_at`,
}

// Every job of these tasks has a key until it is replaced. What is locked may still run.
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
