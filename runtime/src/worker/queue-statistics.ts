import type { Database } from '../core/database.js'
import type { Statement } from '../core/statement.js'
import { sweptTables } from '../core/swept-table.js'

/** What there is to do, which is the same whoever asks. */
export interface State {
  /** How many workers are alive. */
  workers: number
  tables: TableState[]
}

/** The rows of a table of attempts, or those of toasts whose refresh is due, running or failing. */
export interface TableState {
  table: string
  due: number
  running: number
  failed: number
  /** For how long the oldest row has been due, in seconds; 0 where none is. */
  oldestDue: number
}

export async function stateOf(db: Database): Promise<State> {
  const [workers, tables] = await Promise.all([
    db.workers(),
    Promise.all(
      [...sweptTables(db)].map(async ({ kind, table }): Promise<TableState> => {
        const statement = kind === 'attempts' ? stateOfAttempts(table) : stateOfToasts(table)
        const [state] = await db.query<Omit<TableState, 'table'>>(statement, [])
        return { table, ...state! }
      }),
    ),
  ])
  return { workers: workers.length, tables }
}

// Times that are infinite, in rows that were written by hand, have no age. Each count has a partial index, so that what is done and kept costs nothing here.
const stateOfAttempts = (table: string): Statement => ({
  name: `${table}:state`,
  text: `
    SELECT waiting.due, waiting."oldestDue", running.running, failed.failed
    FROM
      (
        SELECT
          count(*)::int AS due,
          coalesce(extract(epoch FROM clock_timestamp() - min(scheduled_at) FILTER (WHERE isfinite(scheduled_at))), 0)::float8 AS "oldestDue"
        FROM "${table}" WHERE status = 'pending' AND scheduled_at <= now()
      ) AS waiting,
      (SELECT count(*)::int AS running FROM "${table}" WHERE status = 'running') AS running,
      (SELECT count(*)::int AS failed FROM "${table}" WHERE status = 'failed') AS failed`,
})

const stateOfToasts = (table: string): Statement => ({
  name: `${table}:state`,
  text: `
    SELECT
      count(*) FILTER (WHERE refresh_at <= now())::int AS due,
      coalesce(extract(epoch FROM clock_timestamp() - min(refresh_at) FILTER (WHERE refresh_at <= now() AND isfinite(refresh_at))), 0)::float8 AS "oldestDue",
      count(*) FILTER (WHERE locked_by IS NOT NULL)::int AS running,
      count(*) FILTER (WHERE failures > 0)::int AS failed
    FROM "${table}" WHERE refresh_at IS NOT NULL`,
})
