import { isPaused } from '../../attempt/sql/startable.js'
import type { Statement } from '../../core/statement.js'
import { MAX_COUNTED } from './counts.js'
import { cut } from './cut.js'

/** How many failed attempts are grouped: the latest ones. */
export const MAX_GROUPED = 1000

/**
 * What waits and what runs, as far as rows are counted. Paused rows, and those that have a limit, wait, but are not due.
 * @param hasPauses whether a pause of the model is in force: each row is compared with it
 */
export const dueStatement = (table: string, hasPauses: boolean): Statement => ({
  name: `${table}:dashboard-due${hasPauses ? '-paused' : ''}`,
  text: `
    -- $1 model
    SELECT waiting.due, waiting.paused, waiting.limited, waiting."oldestDue", running.running
    FROM
      (
        SELECT
          count(*) FILTER (WHERE NOT is_paused AND NOT is_limited)::int AS due,
          count(*) FILTER (WHERE is_paused)::int AS paused,
          count(*) FILTER (WHERE NOT is_paused AND is_limited)::int AS limited,
          coalesce(
            extract(epoch FROM clock_timestamp() - min(scheduled_at) FILTER (WHERE NOT is_paused AND NOT is_limited AND isfinite(scheduled_at))), 0
          )::float8 AS "oldestDue"
        FROM (
          SELECT scheduled_at, limit_key IS NOT NULL AS is_limited, ${hasPauses ? isPaused('attempt', '$1') : '$1::text IS NULL'} AS is_paused
          FROM "${table}" AS attempt
          WHERE status = 'pending' AND scheduled_at <= now()
          ORDER BY scheduled_at
          LIMIT ${MAX_COUNTED + 1}
        ) AS pending
      ) AS waiting,
      (
        SELECT count(*)::int AS running
        FROM (SELECT FROM "${table}" WHERE status = 'running' ORDER BY locked_by LIMIT ${MAX_COUNTED + 1}) AS counted
      ) AS running`,
})

/**
 * How many attempts ended in each part of a span of time, and how long their last runs took. Of a part with many rows, only the first and the
 * last are read.
 */
export const throughputStatement = (table: string): Statement => ({
  name: `${table}:dashboard-throughput`,
  text: `
    -- $1 length of a part (s), $2 how many parts, $3 how many rows to read at each end of a part, $4 of how many to read the run time
    WITH part AS (
      SELECT number, now() - ($2::int - number) * $1::int * interval '1 second' AS start
      FROM generate_series(0, $2::int - 1) AS number
    )
    ${(['succeeded', 'failed'] as const).map((status) => endedInParts(table, status)).join(' UNION ALL ')}`,
})

/**
 * For the next statement of a transaction. The planner expects more rows than the limits of `throughputStatement` let it read, so PostgreSQL
 * would compile that statement, which takes longer than its execution.
 */
export const withoutJit: Statement = {
  name: 'async-gen:dashboard-without-jit',
  text: `SELECT set_config('jit', 'off', true)`,
}

/** In seconds. Rows that were written by hand may have begun at no time. */
const runTime = 'CASE WHEN isfinite(started_at) THEN greatest(0, extract(epoch FROM completed_at - started_at)) END'

function endedInParts(table: string, status: 'succeeded' | 'failed'): string {
  // Rows that are only counted are read from the index alone.
  const rowsOf = (columns: string) => `
          SELECT ${columns}
          FROM "${table}"
          WHERE status = '${status}'
            AND completed_at >= part.start AND completed_at < part.start + $1 * interval '1 second'`
  const spanOf = (name: string) => `extract(epoch FROM max(${name}.completed_at) - min(${name}.completed_at))::float8`
  return `
    SELECT
      part.number, '${status}' AS status, first.count, first.span AS "firstSpan", measured.median, measured.slow,
      last.count AS "lastCount", last.span AS "lastSpan", extract(epoch FROM last.start - first.end)::float8 AS between
    FROM
      part
      CROSS JOIN LATERAL (
        SELECT count(*)::int AS count, max(completed_at) AS end, ${spanOf('early')} AS span
        FROM (${rowsOf('completed_at')}
          ORDER BY completed_at
          LIMIT $3
        ) AS early
      ) AS first
      CROSS JOIN LATERAL (
        SELECT
          (percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds))::float8 AS median,
          (percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds))::float8 AS slow
        FROM (${rowsOf(`${runTime} AS seconds`)}
          ORDER BY completed_at
          LIMIT $4
        ) AS timed
      ) AS measured
      LEFT JOIN LATERAL (
        SELECT count(*)::int AS count, min(completed_at) AS start, ${spanOf('late')} AS span
        FROM (${rowsOf('completed_at')}
          ORDER BY completed_at DESC
          LIMIT $3
        ) AS late
      ) AS last ON first.count = $3
    WHERE first.count > 0`
}

/** The line of a message that says most, as the function of that name in core/error-text.ts finds it. */
const usefulLine = `CASE
          WHEN starts_with(errors -> -1 ->> 'name', 'PrismaClient') THEN substring(errors -> -1 ->> 'message' FROM '([^\\n]*\\S[^\\n]*)\\s*$')
          ELSE substring(errors -> -1 ->> 'message' FROM '[^\\n]*\\S[^\\n]*')
        END`

/** The latest failures, by call and error. */
export const failuresStatement = (table: string): Statement => ({
  name: `${table}:dashboard-failures`,
  text: `
    SELECT
      target, method, name, code, message, count(*)::int AS count, max(completed_at) AS latest, max(id)::text AS id,
      sum(count(*)) OVER ()::int AS total
    FROM (
      SELECT
        id, completed_at, ${cut('target', 200)} AS target, ${cut('method', 200)} AS method,
        CASE WHEN has_error THEN ${cut(`errors -> -1 ->> 'name'`, 100)} END AS name,
        CASE WHEN has_error THEN ${cut(`errors -> -1 ->> 'code'`, 100)} END AS code,
        -- Numbers differ from row to row: ids, times, ports. The messages of Prisma begin with an excerpt of the code, and end with what is wrong.
        CASE WHEN has_error THEN regexp_replace(${cut(usefulLine, 200)}, '\\d+', '#', 'g') END AS message
      FROM (
        SELECT *, pg_column_size(errors) <= 65536 AND jsonb_typeof(errors) = 'array' AS has_error
        FROM "${table}"
        WHERE status = 'failed' AND completed_at IS NOT NULL
        ORDER BY completed_at DESC
        LIMIT ${MAX_GROUPED}
      ) AS latest
    ) AS failed
    GROUP BY target, method, name, code, message
    ORDER BY count DESC, latest DESC
    LIMIT 12`,
})

/** The state of the refreshes of toasts, as far as rows are counted. */
export const toastsDueStatement: Statement = {
  name: 'toasts:dashboard-due',
  text: `
    SELECT
      count(*) FILTER (WHERE refresh_at <= now() AND locked_by IS NULL)::int AS due,
      coalesce(
        extract(epoch FROM clock_timestamp() - min(refresh_at) FILTER (WHERE refresh_at <= now() AND isfinite(refresh_at))), 0
      )::float8 AS "oldestDue",
      count(*) FILTER (WHERE locked_by IS NOT NULL)::int AS running,
      count(*) FILTER (WHERE failures > 0)::int AS failing,
      count(*)::int AS counted
    FROM (
      SELECT refresh_at, locked_by, failures FROM toasts
      WHERE refresh_at IS NOT NULL
      ORDER BY refresh_at
      LIMIT ${MAX_COUNTED + 1}
    ) AS requested`,
}
