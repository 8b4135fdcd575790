import { snakeCase } from '../../core/names.js'
import { quoteName } from '../../core/postgres/connection.js'
import type { Statement } from '../../core/statement.js'
import { type NewAttempt, OWN_FIELDS, OWN_TIMES } from '../row.js'
import { debouncedParts, NOT_DEBOUNCED } from './debounce.js'

/** A column, and how Prisma reads it. */
interface ReadColumn {
  column: string
  /** Prisma's type: `DateTime`. */
  type: string
  /** Whether Prisma 8 gives it as PostgreSQL's text of a list, `{1,2}`. */
  isTextOfList?: boolean
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
  const lists = new Map(fields.flatMap((field) => (field.isTextOfList ? [[field.column, field.type]] : [])))
  return [...COLUMNS, ...added]
    .map(({ column, type }) => {
      const name = `${table}.${quoteName(column)}`
      const list = lists.get(column)
      // JavaScript would round these in JSON.
      const isRounded = list === 'BigInt' || list === 'Numeric'
      if (list) return `to_json(${name}${isRounded ? '::text[]' : ''}) AS ${quoteName(column)}`
      return type === 'DateTime' ? `to_json(${name}) AS ${quoteName(column)}` : name
    })
    .join(', ')
}

/** The fields of a call as SQL reads them from JSON, with their types. */
const FIELDS = {
  id: 'bigint',
  type: 'text',
  target: 'text',
  method: 'text',
  args: 'text',
  encryptor: 'text',
  priority: 'int',
  maxAttempts: 'int',
  idempotenceToken: 'text',
  scheduledAt: 'timestamptz',
  expiresAt: 'timestamptz',
  expiresAfter: 'float8',
  timeoutMs: 'int',
  limitKey: 'text',
  parentId: 'bigint',
  batchId: 'bigint',
  afterIds: 'bigint[]',
  ifFailed: 'text',
  traceContext: 'jsonb',
  debounce: 'jsonb',
  data: 'jsonb',
}

type InsertedField = keyof typeof FIELDS

/** Every call has them. */
const REQUIRED: readonly string[] = ['target', 'method', 'args']

/** They give the statement another form, not only another value. */
const SHAPING: readonly string[] = ['idempotenceToken', 'afterIds', 'debounce', 'data']

/** What the calls of one statement have in common. */
export interface InsertForm {
  /** The fields that it reads. The others get what a row without them gets. */
  fields: readonly InsertedField[]
  /** Columns that the host has added and that calls have values for. */
  extra: readonly string[]
  /** Whether they are the calls of a new batch, which is inserted with them. */
  isBatch?: boolean
  /** The fields of the model, if Prisma reads the answer. */
  within?: readonly ReadColumn[] | undefined
  /** Set if calls are debounced or unique: then none has a token. `encrypted`: it is one call, whose arguments are encrypted. */
  debouncing?: 'plain' | 'encrypted'
}

/**
 * The form of a statement that inserts these calls. Prisma does not prepare its statements, so PostgreSQL plans them each time: with fewer
 * fields, that takes half the time. A prepared statement reads all fields, so that there are few of them.
 */
export function insertForm(attempts: readonly NewAttempt[], given: Omit<InsertForm, 'fields' | 'extra'>): InsertForm {
  const extra = [...new Set(attempts.flatMap(({ data }) => Object.keys(data)))].sort()
  const isGiven = (field: InsertedField) => {
    if (field === 'data') return extra.length > 0
    if (field === 'debounce') return given.debouncing !== undefined
    return attempts.some((attempt) => (attempt[field] ?? null) !== null)
  }
  const always = (field: string) => (given.within ? REQUIRED.includes(field) : !SHAPING.includes(field))
  const fields = (Object.keys(FIELDS) as InsertedField[]).filter((field) => always(field) || isGiven(field))
  return { ...given, fields, extra }
}

/**
 * Inserts calls. It inserts nothing if $2 is the id of a transaction that has ended. A call without a time gets the current time, one
 * microsecond later than the call before it: the queue has no order among calls of the same time.
 */
export function insertStatement(table: string, form: InsertForm): Statement {
  const { fields, extra, isBatch = false, within, debouncing } = form
  const [hasTokens, waits] = [fields.includes('idempotenceToken'), fields.includes('afterIds')]
  const debounced = debouncing ? debouncedParts(extra, debouncing) : NOT_DEBOUNCED
  const values = insertedValues(table, form, debounced.delay)
  return {
    name: `${table}:insert${hasTokens ? '-by-token' : ''}${isBatch ? '-batch' : ''}${waits ? '-after' : ''}${debouncing ? `-debounced-${debouncing}` : ''}${extra.map(quoteName).join('')}`,
    once: true,
    text: `
      -- $1 calls as a JSON array, $2 id of the transaction, or null${debounced.parameters}${isBatch ? newBatchParameters : ''}
      ${withClause([...(waits ? [predecessors(table)] : []), ...(isBatch ? [newBatch] : [])])}INSERT INTO "${table}" AS attempt (
        ${Object.keys(values).map(quoteName).join(', ')}
      )
      SELECT
        ${Object.values(values).join(',\n        ')}
      FROM ROWS FROM (
        jsonb_to_recordset($1::jsonb) AS (
          ${fields.map((field) => `"${field}" ${FIELDS[field]}`).join(', ')}
        )
      ) WITH ORDINALITY AS call${isBatch ? ', batch' : ''}
      WHERE ($2::text IS NULL OR $2 = pg_current_xact_id_if_assigned()::text)${waits ? ' AND (SELECT count(*) FROM predecessors) >= 0 AND (SELECT count(*) FROM shared) >= 0' : ''}
      ORDER BY ${hasTokens ? `${byToken}, ` : ''}${debounced.order}call.ordinality
      ${hasTokens ? onTakenToken : debounced.conflict}
      RETURNING ${within ? columnsWithin('attempt', within) : 'attempt.*'}${debounced.returned}`,
  }
}

/** What the inserted columns hold, by column. */
function insertedValues(table: string, { fields, extra }: InsertForm, delay: string): Record<string, string> {
  const given = (field: InsertedField) => fields.includes(field)
  const firstOf = (...values: (string | false)[]) => {
    const present = values.filter((value) => value !== false)
    return present.length === 1 ? present[0]! : `coalesce(${present.join(', ')})`
  }
  const values: Record<string, string | false> = {
    id: given('id') && `coalesce(call.id, nextval(pg_get_serial_sequence('"${table}"', 'id')))`,
    type: given('type') && 'call.type',
    target: 'call.target',
    method: 'call.method',
    args: 'call.args::jsonb',
    encryptor: given('encryptor') && 'call.encryptor',
    priority: firstOf(given('priority') && 'call.priority', '10'),
    max_attempts: firstOf(given('maxAttempts') && 'call."maxAttempts"', '25'),
    idempotence_token: given('idempotenceToken') && 'call."idempotenceToken"',
    scheduled_at: `${firstOf(
      given('scheduledAt') && 'call."scheduledAt"',
      `(SELECT clock_timestamp()) + call.ordinality * interval '1 microsecond'`,
    )}${delay}`,
    expires_at:
      (given('expiresAt') || given('expiresAfter')) &&
      firstOf(
        given('expiresAt') && 'call."expiresAt"',
        given('expiresAfter') &&
          `${firstOf(given('scheduledAt') && 'call."scheduledAt"', 'clock_timestamp()')} + call."expiresAfter" * interval '1 millisecond'`,
      ),
    timeout_ms: given('timeoutMs') && 'call."timeoutMs"',
    limit_key: given('limitKey') && 'call."limitKey"',
    parent_id: given('parentId') && `(SELECT parent.id FROM "${table}" AS parent WHERE parent.id = call."parentId")`,
    batch_id: given('batchId') && 'call."batchId"',
    after_ids: given('afterIds') && 'call."afterIds"',
    if_failed: given('ifFailed') && 'call."ifFailed"',
    trace_context: given('traceContext') && 'call."traceContext"',
    debounce_key: given('debounce') && `call.debounce->>'key'`,
    debounce_until:
      given('debounce') && `clock_timestamp() + (call.debounce->>'atMost')::float8 * interval '1 millisecond'`,
  }
  const added = extra.map((column) => [
    column,
    `(jsonb_populate_record(NULL::"${table}", call.data)).${quoteName(column)}`,
  ])
  return Object.fromEntries([...Object.entries(values).filter(([, value]) => value !== false), ...added])
}

const onTakenToken = 'ON CONFLICT (target, method, idempotence_token) WHERE idempotence_token IS NOT NULL DO NOTHING'

function withClause(parts: readonly string[]): string {
  return parts.length === 0
    ? ''
    : `WITH ${parts.join(', ')}
      `
}

/**
 * Locks the rows that the calls wait for, in one order. Otherwise two transactions that record calls which wait for the same ones would
 * deadlock. Rows that others wait for already are locked for as many transactions as want to, as the trigger does for each call. A
 * transaction that began before the others were recorded locks them like the first ones.
 */
const predecessors = (table: string) => `wanted AS MATERIALIZED (
        SELECT ARRAY(
          SELECT jsonb_array_elements_text(given->'afterIds')::bigint FROM jsonb_array_elements($1::jsonb) AS given
        ) AS ids
      ), predecessors AS MATERIALIZED (
        SELECT earlier.id FROM "${table}" AS earlier
        WHERE earlier.id = ANY ((SELECT ids FROM wanted)::bigint[]) AND NOT earlier.has_dependents
        ORDER BY earlier.id
        FOR NO KEY UPDATE
      ), shared AS MATERIALIZED (
        SELECT earlier.id FROM "${table}" AS earlier
        WHERE earlier.id = ANY ((SELECT ids FROM wanted)::bigint[])
        ORDER BY earlier.id
        FOR SHARE
      )`

const newBatchParameters =
  '; $3 id of the batch, $4 model, $5 id of the call that follows, or null, $6 whether it is empty'

/** The trigger on the calls finds the batch: they are inserted after it, because they are joined with it. An empty one has finished. */
const newBatch = `batch AS (
        INSERT INTO async_batches (id, model, then_id, finished_at)
        SELECT $3::bigint, $4::text, $5::bigint, CASE WHEN $6::bool THEN clock_timestamp() END
        WHERE $2::text IS NULL OR $2 = pg_current_xact_id_if_assigned()::text
        RETURNING id
      )`

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
