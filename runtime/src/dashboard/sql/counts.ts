import type { AttemptStatus } from '../../attempt/row.js'
import type { Statement } from '../../core/statement.js'

/** As far as rows are counted. Above it, the planner's estimate is shown. */
export const MAX_COUNTED = 10_000

/** The column of the index whose condition is the status. */
function orderOf(status: AttemptStatus): string {
  if (status === 'pending') return 'scheduled_at'
  if (status === 'blocked') return 'id'
  return status === 'running' ? 'locked_by' : 'completed_at'
}

/** The rows of one status, as far as they are counted. In another order than that of an index, all rows could be read. */
export const countStatement = (table: string, status: AttemptStatus): Statement => ({
  name: `${table}:dashboard-count-${status}`,
  text: `
    SELECT count(*)::int AS count
    FROM (SELECT FROM "${table}" WHERE status = '${status}' ORDER BY ${orderOf(status)} LIMIT ${MAX_COUNTED + 1}) AS counted`,
})

/** The planner's estimate for the rows of one status, in one row with the plan. */
export const estimateStatement = (table: string, status: AttemptStatus): Statement => ({
  name: `${table}:dashboard-estimate-${status}`,
  planned: 'each time',
  text: `EXPLAIN (FORMAT JSON) SELECT FROM "${table}" WHERE status = '${status}'`,
})

/** The rows of the table at its last ANALYZE or VACUUM; -1 if there was none. */
export const tableSizeStatement: Statement = {
  name: 'async-gen:dashboard-table-size',
  text: `SELECT reltuples::float8 AS rows FROM pg_class WHERE oid = to_regclass(quote_ident($1))`,
}

/** The rows of a small table, as far as they are counted. */
export const countAllStatement = (table: string): Statement => ({
  name: `${table}:dashboard-count-all`,
  text: `SELECT count(*)::int AS count FROM (SELECT FROM "${table}" ORDER BY id LIMIT ${MAX_COUNTED + 1}) AS counted`,
})
