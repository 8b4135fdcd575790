import { snakeCase } from '../../core/names.js'
import type { Statement } from '../../core/statement.js'
import { OWN_FIELDS, OWN_TIMES } from '../row.js'

/** A column, and how Prisma reads it. */
interface ReadColumn {
  column: string
  /** Prisma's type: `DateTime`. */
  type: string
}

/**
 * The columns of the generated table. Times are returned as JSON: Prisma's driver adapter misreads a timestamptz if TimeZone is not UTC
 * or DateStyle is not ISO.
 */
const COLUMNS: readonly ReadColumn[] = OWN_FIELDS.map((field) => ({
  column: snakeCase(field),
  type: OWN_TIMES.includes(field) ? 'DateTime' : '',
}))

/** What a statement returns to Prisma: the columns of the generated table and of the fields that the host has added. */
function columnsWithin(table: string, fields: readonly ReadColumn[]): string {
  const added = fields.filter(({ column }) => !COLUMNS.some((own) => own.column === column))
  return [...COLUMNS, ...added]
    .map(({ column, type }) => {
      const name = `${table}.${quote(column)}`
      return type === 'DateTime' ? `to_json(${name}) AS ${quote(column)}` : name
    })
    .join(', ')
}

/**
 * Inserts calls. It inserts nothing if $2 is the id of a transaction that has ended. A call without a time gets the current time, one
 * microsecond later than the call before it: the queue has no order among calls of the same time.
 *
 * @param extra columns that the host has added and that the calls have values for
 * @param hasTokens whether calls have tokens: see `byToken`
 * @param within the fields of the model, if Prisma reads the answer
 */
export function insertStatement(
  table: string,
  extra: string[],
  hasTokens: boolean,
  within?: readonly ReadColumn[],
): Statement {
  const columns = extra.map((column) => `, ${quote(column)}`).join('')
  const values = extra
    .map((column) => `, (jsonb_populate_record(NULL::"${table}", call.data)).${quote(column)}`)
    .join('')
  return {
    name: `${table}:insert${within ? '-within' : ''}${hasTokens ? '-by-token' : ''}${columns}`,
    once: true,
    text: `
      -- $1 calls as a JSON array, $2 id of the transaction, or null
      INSERT INTO "${table}" (
        id, type, target, method, args, encryptor, priority, max_attempts, idempotence_token, scheduled_at,
        expires_at, timeout_ms, limit_key, parent_id, trace_context${columns}
      )
      SELECT
        coalesce(call.id, nextval(pg_get_serial_sequence('"${table}"', 'id'))),
        call.type, call.target, call.method, call.args::jsonb, call.encryptor,
        coalesce(call.priority, 10), coalesce(call."maxAttempts", 25), call."idempotenceToken",
        coalesce(call."scheduledAt", (SELECT clock_timestamp()) + call.ordinality * interval '1 microsecond'),
        coalesce(
          call."expiresAt",
          coalesce(call."scheduledAt", clock_timestamp()) + call."expiresAfter" * interval '1 millisecond'
        ),
        call."timeoutMs",
        call."limitKey",
        (SELECT parent.id FROM "${table}" AS parent WHERE parent.id = call."parentId"),
        call."traceContext"${values}
      FROM ROWS FROM (
        jsonb_to_recordset($1::jsonb) AS (
          id bigint, type text, target text, method text, args text, encryptor text, priority int, "maxAttempts" int,
          "idempotenceToken" text, "scheduledAt" timestamptz, "expiresAt" timestamptz,
          "expiresAfter" float8, "timeoutMs" int, "limitKey" text, "parentId" bigint, "traceContext" jsonb, data jsonb
        )
      ) WITH ORDINALITY AS call
      WHERE $2::text IS NULL OR $2 = pg_current_xact_id_if_assigned()::text
      ORDER BY ${hasTokens ? `${byToken}, ` : ''}call.ordinality
      ON CONFLICT (target, method, idempotence_token) WHERE idempotence_token IS NOT NULL DO NOTHING
      RETURNING ${within ? columnsWithin(quote(table), within) : '*'}`,
  }
}

/**
 * Two transactions that record the same tokens in one order wait for each other, and do not deadlock. Calls without a token come first, in
 * their own order.
 */
const byToken = `
        call."idempotenceToken" NULLS FIRST,
        CASE WHEN call."idempotenceToken" IS NOT NULL THEN (call.target, call.method) END`

/** The rows that have these tokens. */
export function findByTokensStatement(table: string, within?: readonly ReadColumn[]): Statement {
  return {
    name: `${table}:find-by-tokens${within ? '-within' : ''}`,
    padded: 'with nulls',
    text: `
      -- $1 targets, $2 methods, $3 idempotence tokens
      SELECT ${within ? columnsWithin('attempt', within) : 'attempt.*'}
      FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (target, method, idempotence_token)
      JOIN "${table}" AS attempt USING (target, method, idempotence_token)`,
  }
}

function quote(column: string): string {
  return `"${column.replaceAll('"', '""')}"`
}
