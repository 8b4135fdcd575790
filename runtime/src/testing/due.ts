import { isStartable } from '../attempt/sql/startable.js'
import type { Database } from '../core/database.js'
import type { Statement } from '../core/statement.js'

/** A call whose run may begin. */
export interface DueCall {
  id: bigint
  /** As Graphile Worker has it: lower runs first. */
  priority: number
  scheduledAt: Date
}

/** Which calls of a table to look at. */
export interface CallsOf {
  table: string
  model: string
  /** Ids to leave out. */
  without: bigint[]
  /** Keys of limits that have no room, to leave out. */
  fullKeys: string[]
  /** Later rows are left out; null for none. */
  lastId: bigint | null
}

/** The call of a table that a worker would run next. */
export async function nextDueCall(
  db: Database,
  { table, model, without, fullKeys, lastId }: CallsOf,
): Promise<DueCall | undefined> {
  const [row] = await db.query<DueCall>(nextDueCallStatement(table), [model, without, lastId, fullKeys])
  return row && { ...row, id: BigInt(row.id) }
}

/**
 * How many milliseconds from now the next call of a table is due, its pause ends, or its limit allows another start; undefined if not until
 * a time.
 */
export async function waitForCall(
  db: Database,
  { table, model, without, fullKeys, lastId }: CallsOf,
  until: Date,
): Promise<number | undefined> {
  const values = [model, without, lastId, until, fullKeys]
  const [row] = await db.query<{ wait: number | null }>(waitForCallStatement(table), values)
  return row?.wait ?? undefined
}

/** How many milliseconds from now a call is due; 0 if it is due. */
export async function waitOf(db: Database, table: string, id: bigint): Promise<number> {
  const [row] = await db.query<{ wait: number }>(waitOfStatement(table), [id])
  return Math.ceil(row?.wait ?? 0)
}

/** The highest id of a table; 0 if it is empty. */
export async function lastIdOf(db: Database, table: string): Promise<bigint> {
  const [row] = await db.query<{ id: string }>(lastIdStatement(table), [])
  return BigInt(row!.id)
}

/** A toast whose refresh is due. */
export interface DueRefresh {
  id: bigint
  name: string
  key: string
}

/** The refresh that a worker would run next. */
export async function nextDueRefresh(
  db: Database,
  names: string[],
  without: bigint[],
): Promise<DueRefresh | undefined> {
  const [row] = await db.query<DueRefresh>(nextDueRefreshStatement, [names, without])
  return row && { ...row, id: BigInt(row.id) }
}

/** How many milliseconds from now the next refresh is due; undefined if none is until a time. */
export async function waitForRefresh(
  db: Database,
  names: string[],
  without: bigint[],
  until: Date,
): Promise<number | undefined> {
  const [row] = await db.query<{ wait: number | null }>(waitForRefreshStatement, [names, without, until])
  return row?.wait ?? undefined
}

// The order in which Graphile Worker fetches the jobs of the rows.
const nextDueCallStatement = (table: string): Statement => ({
  name: `${table}:next-due`,
  text: `
    -- $1 model, $2 ids to leave out, $3 last id, or null, $4 keys to leave out
    SELECT
      id,
      greatest(-32768, least(32767, -priority::bigint))::int AS priority,
      scheduled_at AS "scheduledAt"
    FROM "${table}" AS attempt
    WHERE ${isStartable('attempt', '$1')}
      AND id <> ALL ($2::bigint[])
      AND ($3::bigint IS NULL OR id <= $3)
      AND (limit_key IS NULL OR limit_key <> ALL ($4::text[]))
    ORDER BY 2, scheduled_at, id
    LIMIT 1`,
})

const waitForCallStatement = (table: string): Statement => ({
  name: `${table}:wait-for-call`,
  text: `
    -- $1 model, $2 ids to leave out, $3 last id, or null, $4 until, $5 keys that have no room
    SELECT ceil(extract(epoch FROM min(time) - clock_timestamp()) * 1000)::float8 AS wait
    FROM (
      SELECT scheduled_at AS time FROM "${table}"
      WHERE status = 'pending' AND id <> ALL ($2::bigint[]) AND ($3::bigint IS NULL OR id <= $3)
      UNION ALL
      SELECT until FROM async_pauses WHERE model = $1
      UNION ALL
      -- The row expires a window after its last time.
      SELECT started.time + (starts.expires_at - (SELECT max(last.time) FROM unnest(starts.times) AS last (time)))
      FROM async_limit_starts AS starts, unnest(starts.times) AS started (time)
      WHERE starts.model = $1 AND starts.limit_key = ANY ($5::text[])
    ) AS times
    WHERE time > clock_timestamp() AND time <= $4::timestamptz AND isfinite(time)`,
})

const waitOfStatement = (table: string): Statement => ({
  name: `${table}:wait-of`,
  text: `
    SELECT greatest(0, extract(epoch FROM scheduled_at - clock_timestamp()) * 1000)::float8 AS wait
    FROM "${table}"
    WHERE id = $1 AND isfinite(scheduled_at)`,
})

const lastIdStatement = (table: string): Statement => ({
  name: `${table}:last-id`,
  text: `SELECT coalesce(max(id), 0)::text AS id FROM "${table}"`,
})

const nextDueRefreshStatement: Statement = {
  name: 'toasts:next-due',
  text: `
    SELECT id, name, key FROM toasts
    WHERE refresh_at <= clock_timestamp() AND locked_by IS NULL AND name = ANY ($1::text[]) AND id <> ALL ($2::bigint[])
    ORDER BY refresh_at, id
    LIMIT 1`,
}

const waitForRefreshStatement: Statement = {
  name: 'toasts:wait-for-refresh',
  text: `
    -- $1 names, $2 ids to leave out, $3 until
    SELECT ceil(extract(epoch FROM min(refresh_at) - clock_timestamp()) * 1000)::float8 AS wait
    FROM toasts
    WHERE refresh_at > clock_timestamp() AND refresh_at <= $3::timestamptz AND locked_by IS NULL
      AND name = ANY ($1::text[]) AND id <> ALL ($2::bigint[]) AND isfinite(refresh_at)`,
}
