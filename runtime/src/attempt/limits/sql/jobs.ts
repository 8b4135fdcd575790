import type { Statement } from '../../../core/statement.js'
import { jobSpec } from '../../sql/job-spec.js'
import { nextOfKey, waitingKeys } from './keys.js'

/** The statements that add jobs for the next calls of keys. */
export const limitJobStatements = (table: string) =>
  ({
    // For keys that have free slots. A job that is locked counts as lost: its worker may have found the key full.
    wake: {
      name: `${table}:wake-limited`,
      text: `
      WITH next AS MATERIALIZED (
        SELECT head.*
        FROM unnest($2::text[]) AS given (limit_key) CROSS JOIN LATERAL (
          ${nextOfKey(table, 'given.limit_key', '1')}
        ) AS head
        WHERE NOT EXISTS (
          SELECT FROM graphile_worker.jobs WHERE key = $1 || ':' || head.id AND attempts < max_attempts AND locked_at IS NULL
        )
      )
      SELECT count(*)::int AS enqueued
      FROM (
        SELECT array_agg(${jobSpec('$1', 'without a key')} ORDER BY priority DESC, scheduled_at, id) AS jobs FROM next HAVING count(*) > 0
      ) AS page, graphile_worker.add_jobs(page.jobs)`,
    },

    // For keys whose rate is used up. One job for each key is enough: it claims a call and adds the next one.
    wakeLater: {
      name: `${table}:wake-limited-later`,
      text: `
      -- $1 task, $2 keys, $3 model, $4 limits and $5 windows in milliseconds of their rates
      WITH next AS MATERIALIZED (
        SELECT head.id, head.limit_key, head.priority, free.time AS scheduled_at
        FROM unnest($2::text[], $4::int[], $5::float8[]) AS given (limit_key, rate_limit, rate_ms)
        CROSS JOIN LATERAL (
          ${nextOfKey(table, 'given.limit_key', '1')}
        ) AS head
        CROSS JOIN LATERAL (
          SELECT min(entry.time) + given.rate_ms * interval '1 millisecond' AS time
          FROM (
            SELECT every.time, sum(every.count) OVER (ORDER BY every.time DESC) - every.count AS later
            FROM async_limit_starts AS starts, unnest(starts.times, starts.counts) AS every (time, count)
            WHERE starts.model = $3 AND starts.limit_key = given.limit_key
              AND every.time <= clock_timestamp() + given.rate_ms * interval '1 millisecond'
          ) AS entry
          WHERE entry.later < given.rate_limit
        ) AS free
      ), marked AS (
        UPDATE async_limit_starts AS starts SET wake_at = next.scheduled_at
        FROM next
        WHERE starts.model = $3 AND starts.limit_key = next.limit_key
          AND (wake_at IS NULL OR wake_at <= clock_timestamp() OR wake_at > next.scheduled_at)
        RETURNING next.*
      )
      SELECT count(*)::int AS enqueued
      FROM (
        SELECT array_agg(${jobSpec('$1', 'without a key')}) AS jobs FROM marked HAVING count(*) > 0
      ) AS page, graphile_worker.add_jobs(page.jobs)`,
    },

    // Each key with calls that are due, found by one step in the index. It repairs keys with room for a call whose next call has no job: a
    // job that somebody deleted, a claim that could not add one, a limit that SQL has raised, or that was removed from targets.ts: then its
    // calls run one after the other. Of a strict key, only the first call can be the next. LIMIT 1, because
    // PostgreSQL expects a thousand rows of each function, and (SELECT $2): see `Statement`.
    repair: {
      name: `${table}:repair-limited`,
      text: `
      -- $1 task, $2 the last key of the page before, $3 model, $4 how many keys; of each limit: $5 name, $6 concurrency, $7 whether it is strict,
      -- $8 window of its rate (ms)
      WITH RECURSIVE ${waitingKeys(table)}
      , next AS MATERIALIZED (
        SELECT head.*
        FROM keys
        LEFT JOIN unnest($5::text[], $6::int[], $7::boolean[], $8::float8[]) AS given (name, concurrency, is_strict, rate_ms)
          ON given.name = split_part(keys.limit_key, ':', 1)
        LEFT JOIN async_limits AS of_key ON of_key.model = $3 AND of_key.limit_key = keys.limit_key
        LEFT JOIN async_limits AS of_limit ON of_limit.model = $3 AND of_limit.limit_key = given.name
        CROSS JOIN LATERAL (
          SELECT count(*) FROM "${table}" AS attempt WHERE attempt.status = 'running' AND attempt.limit_key = keys.limit_key
        ) AS running
        CROSS JOIN LATERAL (
          SELECT free.* FROM (${nextOfKey(table, 'keys.limit_key', '1')}) AS free WHERE given.is_strict IS NOT TRUE
          UNION ALL
          SELECT attempt.id, attempt.limit_key, attempt.priority, attempt.scheduled_at
          FROM "${table}_first"(keys.limit_key, 1, clock_timestamp()) AS first JOIN "${table}" AS attempt USING (id)
          WHERE given.is_strict AND first.is_startable
          LIMIT 1
        ) AS head
        WHERE running.count < coalesce(of_key.concurrency, of_limit.concurrency, given.concurrency, CASE WHEN given.name IS NULL THEN 1 END, 2147483647)
          AND NOT EXISTS (
            SELECT FROM async_limit_starts AS starts
            WHERE starts.model = $3 AND starts.limit_key = keys.limit_key AND starts.wake_at > now()
              -- A later time was written before the clock was set back.
              AND starts.wake_at < now() + coalesce(of_key.rate_ms, of_limit.rate_ms, given.rate_ms) * interval '1.01 milliseconds'
          )
          AND NOT EXISTS (
            SELECT FROM graphile_worker.jobs
            WHERE key = $1 || ':' || head.id AND attempts < max_attempts AND (locked_at IS NULL OR locked_at > now() - interval '1 minute')
          )
      ), enqueued AS (
        SELECT
        FROM (
          SELECT array_agg(${jobSpec('$1')} ORDER BY priority DESC, scheduled_at, id) AS jobs FROM next HAVING count(*) > 0
        ) AS page, graphile_worker.add_jobs(page.jobs)
      )
      SELECT (SELECT count(*)::int FROM enqueued) AS enqueued, (SELECT max(limit_key) FROM keys WHERE number = $4) AS last`,
    },

    waitingKeys: {
      name: `${table}:waiting-limit-keys`,
      text: `
      -- $1 start of the keys, $2 the last key of the page before, $3 null, $4 how many keys
      WITH RECURSIVE ${waitingKeys(table)}
      SELECT
        ARRAY(SELECT limit_key FROM keys WHERE starts_with(limit_key, $1)) AS keys,
        (SELECT max(limit_key) FROM keys WHERE number = $4 AND $3::text IS NULL) AS last`,
    },
  }) satisfies Record<string, Statement>
