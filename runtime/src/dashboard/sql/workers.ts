import { livingWorkers } from '../../core/living-workers.js'
import type { Statement } from '../../core/statement.js'
import { cut } from './cut.js'

/** The processes that are alive, and those that ended within the last hour. */
export const workersStatement: Statement = {
  name: 'async-gen:dashboard-workers',
  text: `
    SELECT
      id, ${cut('host', 200)} AS host, pid, ${cut('version', 60)} AS version, tasks[1:50] AS tasks, started_at AS "startedAt",
      ended_at AS "endedAt", pool_id IS NOT NULL AS "isWorker", id IN (${livingWorkers}) AS "isAlive", clock_timestamp() AS now
    FROM async_workers
    ORDER BY id DESC
    LIMIT 200`,
}

/** What runs now of one table of attempts. */
export const runsStatement = (table: string): Statement => ({
  name: `${table}:dashboard-runs`,
  text: `
    SELECT
      id::text, locked_by AS worker, ${cut('target', 200)} AS target, ${cut('method', 200)} AS method, started_at AS "startedAt", progress
    FROM (SELECT * FROM "${table}" WHERE status = 'running' OFFSET 0) AS running
    ORDER BY running.started_at
    LIMIT 500`,
})
