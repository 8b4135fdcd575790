import type { AttemptStatus, RowFilter } from '../../attempt/row.js'
import { conditions, groups, parameter } from '../../attempt/sql/select.js'
import type { Statement } from '../../core/statement.js'
import { cut, preview } from './cut.js'

// A list reads its table along one index, in the order of that index, and looks at a limited number of rows for each page. So a filter that no
// index serves costs a page no more than that, however many rows there are.

/** An order in which an index has the rows. */
export interface Walk {
  /** The column before the id, if the order is not that of the ids. */
  column?: 'scheduled_at' | 'completed_at'
  isDescending: boolean
  /** Conditions that the index has. */
  where: string[]
  /** The schedule whose rows the index has. */
  schedule?: string | undefined
  /** The batch whose rows are read. Its index does not have the order, so all of them are. */
  batchId?: bigint | undefined
}

/** Where a page begins: after this row of the page before. Times are ISO 8601, with microseconds. */
export interface Cursor {
  id: string
  /** The value of the walk's column. */
  time?: string
}

export interface ListQuery {
  table: string
  walk: Walk
  filter: RowFilter
  cursor: Cursor | undefined
  /** How many rows to look at. */
  window: number
  /** How many rows to return. */
  limit: number
}

interface Bound {
  statement: Statement
  values: unknown[]
}

/** The rows of a page, in the order of the walk. */
export function listStatement({ table, walk, filter, cursor, window, limit }: ListQuery): Bound {
  const values: unknown[] = [window, limit]
  const scanned = walkOf(table, walk, cursor, values)
  const { statuses: _, ...others } = filter
  const where = conditions(table, others, values)
  const text = `
    -- $1 how many rows to look at, $2 how many to return; then the cursor and the values of the filter
    SELECT ${listColumns}
    FROM (${scanned} LIMIT $1) AS attempt
    ${where.length > 0 ? `WHERE ${where.join(' AND ')}` : ''}
    ORDER BY ${orderOf(walk)}
    LIMIT $2`
  return bound(`${table}:dashboard-list`, text, values)
}

/** The last row that a page has looked at, if it has looked at as many as it may. */
export function windowEndStatement({ table, walk, cursor, window }: ListQuery): Bound {
  const values: unknown[] = [window - 1]
  const scanned = walkOf(table, walk, cursor, values)
  const text = `
    -- $1 how many rows to skip; then the cursor
    SELECT ${cursorColumns} FROM (${scanned} OFFSET $1 LIMIT 1) AS attempt`
  return bound(`${table}:dashboard-window-end`, text, values)
}

/** The rows that run now: they are as many as the workers run, so all are read. */
export function runningStatement(table: string, filter: RowFilter, limit: number): Bound {
  const values: unknown[] = [limit]
  const { statuses: _, ...others } = filter
  const where = ['true', ...conditions(table, others, values)].join(' AND ')
  const text = `
    -- $1 how many rows to return; then the values of the filter
    SELECT ${listColumns}
    FROM (SELECT * FROM "${table}" WHERE status = 'running' OFFSET 0) AS attempt
    WHERE ${where}
    ORDER BY attempt.started_at, attempt.id
    LIMIT $1`
  return bound(`${table}:dashboard-running`, text, values)
}

/**
 * The newest rows of one finished status, by target and method: the index has the ids of each method in order.
 * @param filter with a target, a method or both, and no other condition
 */
export function finishedStatement(query: ListQuery, status: AttemptStatus): Bound {
  const { table, filter, cursor, limit, walk } = query
  const values: unknown[] = [limit]
  const direction = walk.isDescending ? 'DESC' : 'ASC'
  const calls = callsOf(table, status, filter, values)
  const after = cursor ? `AND id ${walk.isDescending ? '<' : '>'} ${parameter(cursor.id, values)}::bigint` : ''
  const text = `
    -- $1 how many rows to return; then the values of the filter and the cursor
    WITH RECURSIVE ${calls}, newest AS MATERIALIZED (
      SELECT found.id
      FROM calls, LATERAL (
        SELECT id FROM "${table}"
        WHERE status = '${status}' AND target = calls.target AND method = calls.method ${after}
        ORDER BY id ${direction}
        LIMIT $1
      ) AS found
      ORDER BY id ${direction}
      LIMIT $1
    )
    SELECT ${listColumns}
    FROM newest JOIN "${table}" AS attempt ON attempt.id = newest.id
    ORDER BY attempt.id ${direction}`
  return bound(`${table}:dashboard-finished`, text, values)
}

/**
 * The targets and methods of the rows of a finished status that match. Each is found by one access to the index: with the target and the
 * method in one comparison, PostgreSQL would read all rows of the last method to find the one before.
 */
function callsOf(table: string, status: AttemptStatus, { target, method }: RowFilter, values: unknown[]): string {
  if (target !== undefined && method !== undefined) {
    const [ofTarget, ofMethod] = [target, method].map((name) => `${parameter(name, values)}::text`)
    return `calls (target, method) AS (VALUES (${ofTarget}, ${ofMethod}))`
  }
  if (target === undefined) {
    return `${groups(table, 'all_calls', `status = '${status}'`)}, calls AS (
      SELECT target, method FROM all_calls WHERE method = ${parameter(method, values)}::text
    )`
  }
  const where = `status = '${status}' AND target = ${parameter(target, values)}::text`
  return `calls AS (
      (SELECT target, method FROM "${table}" WHERE ${where} ORDER BY method DESC LIMIT 1)
      UNION ALL
      SELECT next.target, next.method
      FROM calls AS previous, LATERAL (
        SELECT target, method FROM "${table}" WHERE ${where} AND method < previous.method
        ORDER BY method DESC
        LIMIT 1
      ) AS next
    )`
}

/** The rows with a token: at most one for each method. */
export function tokenStatement(table: string, filter: RowFilter, limit: number): Bound {
  const values: unknown[] = [limit, filter.idempotenceToken]
  const { idempotenceToken: _, statuses, ...others } = filter
  const where = conditions(table, others, values)
  const ofStatus = statuses ? [`status::text = ANY (${parameter(statuses, values)}::text[])`] : []
  const text = `
    -- $1 how many rows to return, $2 token; then the values of the filter
    WITH RECURSIVE ${groups(table, 'calls', 'idempotence_token IS NOT NULL')}
    SELECT ${listColumns}
    FROM calls, LATERAL (
      SELECT * FROM "${table}"
      WHERE target = calls.target AND method = calls.method AND idempotence_token = $2::text
      OFFSET 0
    ) AS attempt
    ${[...ofStatus, ...where].map((condition, i) => `${i === 0 ? 'WHERE' : 'AND'} ${condition}`).join(' ')}
    ORDER BY attempt.id DESC
    LIMIT $1`
  return bound(`${table}:dashboard-token`, text, values)
}

function walkOf(table: string, walk: Walk, cursor: Cursor | undefined, values: unknown[]): string {
  const where = [...walk.where]
  const sign = walk.isDescending ? '<' : '>'
  if (walk.schedule !== undefined) where.push(`schedule = ${parameter(walk.schedule, values)}::text`)
  if (cursor && walk.column) {
    const time = parameter(cursor.time, values)
    where.push(`(${walk.column}, id) ${sign} (${time}::timestamptz, ${parameter(cursor.id, values)}::bigint)`)
  } else if (cursor) where.push(`id ${sign} ${parameter(cursor.id, values)}::bigint`)
  const conditions = where.length > 0 ? `WHERE ${where.join(' AND ')}` : ''
  return `SELECT * FROM ${sourceOf(table, walk, values)} AS attempt ${conditions} ORDER BY ${orderOf(walk)}`
}

/** OFFSET 0: otherwise the planner may walk the primary key from its end, past all rows of other batches. */
function sourceOf(table: string, { batchId }: Walk, values: unknown[]): string {
  if (batchId === undefined) return `"${table}"`
  return `(SELECT * FROM "${table}" WHERE batch_id = ${parameter(batchId, values)}::bigint OFFSET 0)`
}

/** With the name of the row: without it, ORDER BY takes the id that is returned, which is text. */
function orderOf({ column, isDescending }: Walk): string {
  const direction = isDescending ? 'DESC' : 'ASC'
  return column ? `attempt.${column} ${direction}, attempt.id ${direction}` : `attempt.id ${direction}`
}

function bound(name: string, text: string, values: unknown[]): Bound {
  return { statement: { name, text, planned: 'each time' }, values }
}

/** Times in microseconds, for cursors. */
const cursorColumns = `
      attempt.id::text,
      to_json(scheduled_at) #>> '{}' AS "scheduledText",
      to_json(completed_at) #>> '{}' AS "completedText"`

/** What a list shows of a row. */
const listColumns = `${cursorColumns},
      ${cut('attempt.target', 200)} AS target, ${cut('attempt.method', 200)} AS method, ${cut('type', 100)} AS type,
      status::text, priority, num_attempts AS "numAttempts", max_attempts AS "maxAttempts", snoozes,
      scheduled_at AS "scheduledAt", started_at AS "startedAt", completed_at AS "completedAt", created_at AS "createdAt",
      progress, locked_by AS "lockedBy", encryptor IS NOT NULL AS "isEncrypted",
      CASE WHEN encryptor IS NULL THEN ${preview('args', 160)} END AS "argsText",
      pg_column_size(args) AS "argsSize",
      CASE WHEN pg_column_size(errors) <= 65536 AND jsonb_typeof(errors) = 'array' THEN
        jsonb_build_object(
          'name', ${cut(`errors -> -1 ->> 'name'`, 100)},
          'code', ${cut(`errors -> -1 ->> 'code'`, 100)},
          'message', ${cut(`errors -> -1 ->> 'message'`, 400)}
        )
      END AS error`
