import type { Task } from 'graphile-worker'
import type { Database, Query, Statement } from '../database.js'
import { livingWorkers } from '../presence.js'
import { tellsItself } from '../telemetry.js'
import { keptTables } from '../upkeep.js'

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
    for (const table of keptTables(db)) {
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

/** The Graphile Worker task `sweep`, for those who want one out of turn: `SELECT graphile_worker.add_job('sweep')`. */
export function sweepTask(db: Database): Task {
  return tellsItself<Task>(async (_payload, { logger }) => {
    const { rescued, enqueued } = await sweep(db)
    logger.info(`swept: ${rescued} rescued, ${enqueued} enqueued`)
  })
}

/** Graphile Worker itself would wait for four hours. */
async function freeJobsOfDeadWorkers(query: Query): Promise<number> {
  const dead = await query<{ pool_id: string | null }>(removeDeadWorkers, [])
  const pools = dead.flatMap(({ pool_id }) => pool_id ?? [])
  if (pools.length === 0) return dead.length
  const burnt = await query<{ id: string }>(findBurntJobs, [pools])
  await query(unlockJobs, [pools])
  await query(removeJobs, [burnt.map(({ id }) => id)])
  return dead.length
}

const takeTurn: Statement = {
  name: 'async-gen:take-turn',
  text: `SELECT pg_try_advisory_xact_lock(hashtextextended('async-gen:sweep', 0)) AS taken`,
}

const beforeTable: Statement = { name: 'async-gen:before-table', text: 'SAVEPOINT before_table' }

const asBeforeTable: Statement = { name: 'async-gen:as-before-table', text: 'ROLLBACK TO SAVEPOINT before_table' }

const removeDeadWorkers: Statement = {
  name: 'async-gen:remove-dead-workers',
  text: `DELETE FROM async_workers WHERE id NOT IN (${livingWorkers}) RETURNING pool_id`,
}

// Adding a job under the key of one that runs takes that key away and sets its attempts to the maximum, expecting it to end
// soon. Where its worker dies instead, it would stay for ever: the job that replaced it does the work.
const findBurntJobs: Statement = {
  name: 'async-gen:find-burnt-jobs',
  text: `
    SELECT id FROM graphile_worker.jobs
    WHERE locked_by = ANY ($1::text[]) AND key IS NULL AND attempts >= max_attempts AND updated_at > locked_at`,
}

const unlockJobs: Statement = {
  name: 'async-gen:unlock-jobs',
  text: 'SELECT graphile_worker.force_unlock_workers($1::text[])',
}

const removeJobs: Statement = {
  name: 'async-gen:remove-jobs',
  text: 'SELECT count(*) FROM graphile_worker.complete_jobs($1::bigint[])',
}
