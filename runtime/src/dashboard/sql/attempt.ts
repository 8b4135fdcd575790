import type { Field } from '../../core/prisma/client.js'
import type { Statement } from '../../core/statement.js'
import { cut, plainJson } from './cut.js'

/** How much of a value a page shows, in characters. */
export const MAX_VALUE = 64 * 1024

/** The largest value that is read at all, in bytes as stored. */
export const MAX_STORED = 16 * 2 ** 20

/** How many errors of an attempt a page shows: the latest ones. */
const MAX_ERRORS = 50

/** The largest error that is shown with its causes, in bytes. Of others, the texts of the error itself are shown. */
const MAX_ERROR = 64 * 1024

/** One row, with values that are cut. */
export const attemptStatement = (table: string, added: readonly Field[]): Statement => ({
  name: `${table}:dashboard-attempt`,
  text: `
    -- $1 id, $2 types, or null for any
    SELECT
      id::text, ${cut('type', 200)} AS type, ${cut('target', 1000)} AS target, ${cut('method', 1000)} AS method,
      status::text, priority, num_attempts AS "numAttempts", max_attempts AS "maxAttempts", snoozes,
      ${cut('idempotence_token', 2000)} AS token, ${cut('encryptor', 200)} AS encryptor,
      scheduled_at AS "scheduledAt", expires_at AS "expiresAt", started_at AS "startedAt", completed_at AS "completedAt",
      created_at AS "createdAt", updated_at AS "updatedAt", clock_timestamp() AS now,
      timeout_ms AS "timeoutMs", progress, locked_by AS "lockedBy", parent_id::text AS "parentId",
      batch_id::text AS "batchId", ${cut('schedule', 200)} AS schedule, ${cut('limit_key', 1000)} AS "limitKey", if_failed AS "ifFailed", cardinality(after_ids) AS "afterCount",
      CASE WHEN encryptor IS NULL THEN ${cut('progress_message', 2000)} END AS "progressMessage",
      ${cut(`trace_context ->> 'traceparent'`, 100)} AS traceparent,
      CASE WHEN encryptor IS NULL THEN ${cut('args.text', MAX_VALUE)} END AS "argsText",
      octet_length(args.text) AS "argsBytes",
      CASE WHEN encryptor IS NULL THEN ${cut('result.text', MAX_VALUE)} END AS "resultText",
      octet_length(result.text) AS "resultBytes",
      errors.list AS errors, errors.count AS "errorCount",
      ${addedColumns(added)} AS data
    FROM "${table}" AS attempt
      LEFT JOIN LATERAL (SELECT (${plainJson('args')})::text AS text WHERE pg_column_size(args) <= ${MAX_STORED}) AS args ON true
      LEFT JOIN LATERAL (SELECT (${plainJson('result')})::text AS text WHERE pg_column_size(result) <= ${MAX_STORED}) AS result ON true
      LEFT JOIN LATERAL (
        SELECT jsonb_agg(shown.entry ORDER BY number) AS list, max(number) AS count
        FROM (
          SELECT number, CASE
            WHEN octet_length(entry::text) <= ${MAX_ERROR} THEN entry
            ELSE jsonb_strip_nulls(jsonb_build_object(
              'number', entry -> 'number', 'at', entry -> 'at', 'elapsed', entry -> 'elapsed', 'worker', entry -> 'worker',
              'name', ${cut(`entry ->> 'name'`, 200)}, 'code', ${cut(`entry ->> 'code'`, 200)},
              'message', ${cut(`entry ->> 'message'`, 4000)}, 'stack', ${cut(`entry ->> 'stack'`, 8000)}, 'isCut', true
            ))
          END AS entry
          FROM jsonb_array_elements(
            CASE WHEN jsonb_typeof(attempt.errors) = 'array' THEN attempt.errors ELSE jsonb_build_array(attempt.errors) END
          ) WITH ORDINALITY AS each (entry, number)
          ORDER BY number DESC
          LIMIT ${MAX_ERRORS}
        ) AS shown
        WHERE pg_column_size(attempt.errors) <= ${MAX_STORED}
      ) AS errors ON true
    WHERE id = $1::bigint AND ($2::text[] IS NULL OR type = ANY ($2))`,
})

/** The attempts that a call has recorded: some of them, if they are many. */
export const childrenStatement = (table: string): Statement => ({
  name: `${table}:dashboard-children`,
  text: `
    -- $1 id, $2 how many to look at, $3 how many to return
    SELECT
      id::text, ${cut('target', 200)} AS target, ${cut('method', 200)} AS method, status::text,
      count(*) OVER ()::int AS total
    FROM (SELECT * FROM "${table}" WHERE parent_id = $1::bigint LIMIT $2) AS child
    ORDER BY child.id DESC
    LIMIT $3`,
})

/** PostgreSQL's functions take 100 arguments. */
function addedColumns(added: readonly Field[]): string {
  const objects = ["'{}'::jsonb"]
  for (let from = 0; from < added.length; from += 40)
    objects.push(
      `jsonb_build_object(${added
        .slice(from, from + 40)
        .map(addedColumn)
        .join(', ')})`,
    )
  return objects.join(' || ')
}

function addedColumn({ name, column }: Field): string {
  return `${literal(name)}, ${cut(`"${column.replaceAll('"', '""')}"::text`, 1000)}`
}

/** Names of fields, from the schema of the host. */
function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
