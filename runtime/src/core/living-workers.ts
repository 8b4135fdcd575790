import type { Statement } from './statement.js'

/** The first key of every worker's advisory lock ("AGen" in ASCII); the second is the worker's id. */
export const PRESENCE_LOCK = 0x4147656e

/** A subquery for the ids of the workers that are alive: those that hold their advisory lock. */
export const livingWorkers = `
  SELECT objid::int
  FROM pg_locks
  WHERE locktype = 'advisory' AND classid = ${PRESENCE_LOCK} AND objsubid = 2 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

/** A worker that is alive, as `db.workers()` returns it. */
export interface WorkerInfo {
  id: number
  host: string
  pid: number
  /** The id of its Graphile Worker pool; null for a process that runs attempts without being a worker, such as a console. */
  poolId: string | null
  startedAt: Date
  /** The version of @async-gen/runtime that it runs. */
  version: string
  /** The names of the Graphile Worker tasks that it processes. */
  tasks: string[]
}

/** Lists the processes that are alive, the oldest first. $1 is a task that they must process, or null for any. */
export const listWorkers: Statement = {
  name: 'async-gen:workers',
  text: `
    SELECT id, host, pid, pool_id AS "poolId", started_at AS "startedAt", version, tasks
    FROM async_workers
    WHERE id IN (${livingWorkers}) AND ($1::text IS NULL OR $1 = ANY (tasks))
    ORDER BY id`,
}
