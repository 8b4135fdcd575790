import type { Task } from 'graphile-worker'
import type { Database, Statement } from '../database.js'
import { livingWorkers } from '../presence.js'
import { keptTables } from '../upkeep.js'

/** What a sweep found to do. */
export interface Swept {
  /** Rows taken back from dead workers. */
  rescued: number
  /** Rows that were due and had no job. */
  enqueued: number
}

/**
 * Puts right what was left behind: frees the jobs of dead workers, sends their rows back to wait, and gives a job to every
 * row that is due and has none. One process at a time does it; for the others it is a no-op.
 */
export async function sweep(db: Database): Promise<Swept> {
  return await db.transaction(async (query) => {
    const swept: Swept = { rescued: 0, enqueued: 0 }
    const [lock] = await query<{ taken: boolean }>(takeTurn, [])
    if (!lock?.taken) return swept
    // Jobs first: a row that is sent back then finds its own job free again.
    await query(freeJobsOfDeadWorkers, [])
    for (const table of keptTables(db)) swept.rescued += await table.rescue(query)
    for (const table of keptTables(db)) swept.enqueued += await table.enqueueDue(query)
    return swept
  })
}

/** The Graphile Worker task `sweep`, for those who want one out of turn: `SELECT graphile_worker.add_job('sweep')`. */
export function sweepTask(db: Database): Task {
  return async (_payload, { logger }) => {
    const { rescued, enqueued } = await sweep(db)
    logger.info(`swept: ${rescued} rescued, ${enqueued} enqueued`)
  }
}

const takeTurn: Statement = {
  name: 'async-gen:take-turn',
  text: `SELECT pg_try_advisory_xact_lock(hashtextextended('async-gen:sweep', 0)) AS taken`,
}

const freeJobsOfDeadWorkers: Statement = {
  name: 'async-gen:free-jobs',
  text: `
    WITH dead AS (
      DELETE FROM async_workers WHERE id NOT IN (${livingWorkers}) RETURNING pool_id
    )
    SELECT graphile_worker.force_unlock_workers(array_agg(pool_id)) FROM dead HAVING count(pool_id) > 0`,
}
