import type { Statement } from '../../../core/statement.js'

/** The statements that read and change the limits themselves, and what their keys use. */
export const limitStatements = (table: string) =>
  ({
    // What is null in the row is that of targets.ts.
    set: {
      name: 'async-gen:set-limit',
      text: `
      -- $1 model, $2 limit or key, $3 whether to change the concurrency, $4 concurrency, $5 whether to change the rate, $6 limit, $7 window (ms)
      INSERT INTO async_limits AS changed (model, limit_key, concurrency, rate_limit, rate_ms)
      VALUES ($1, $2, $4::int, $6::int, $7::float8)
      ON CONFLICT (model, limit_key) DO UPDATE SET
        concurrency = CASE WHEN $3::boolean THEN excluded.concurrency ELSE changed.concurrency END,
        rate_limit = CASE WHEN $5::boolean THEN excluded.rate_limit ELSE changed.rate_limit END,
        rate_ms = CASE WHEN $5 THEN excluded.rate_ms ELSE changed.rate_ms END,
        updated_at = clock_timestamp()`,
    },

    removeEmpty: {
      name: 'async-gen:remove-empty-limits',
      text: `
      DELETE FROM async_limits
      WHERE model = $1 AND limit_key = $2 AND concurrency IS NULL AND rate_limit IS NULL`,
    },

    changed: {
      name: 'async-gen:changed-limits',
      text: `
      SELECT limit_key AS "limitKey", concurrency, rate_limit AS "rateLimit", rate_ms AS "rateMs"
      FROM async_limits
      WHERE model = $1
      ORDER BY limit_key`,
    },

    // The sums are of all keys of a limit; the rows, of those with the most waiting calls.
    usage: {
      name: `${table}:limit-usage`,
      text: `
      -- $1 model, $2 how many keys of each limit
      SELECT *
      FROM (
        SELECT
          counted.limit_key AS "limitKey",
          sum(counted.running)::int AS running,
          sum(counted.waiting)::int AS waiting,
          sum(sum(counted.running)) OVER of_limit::int AS "allRunning",
          sum(sum(counted.waiting)) OVER of_limit::int AS "allWaiting",
          row_number() OVER (
            PARTITION BY split_part(counted.limit_key, ':', 1) ORDER BY sum(counted.waiting) DESC, sum(counted.running) DESC, counted.limit_key
          )::int AS position,
          (
            SELECT to_json(starts.wake_at) #>> '{}' FROM async_limit_starts AS starts
            WHERE starts.model = $1 AND starts.limit_key = counted.limit_key AND starts.wake_at > now()
          ) AS "nextAt"
        FROM (
          SELECT limit_key, count(*) AS running, 0 AS waiting
          FROM "${table}" WHERE status = 'running' AND limit_key IS NOT NULL GROUP BY limit_key
          UNION ALL
          SELECT limit_key, 0, count(*)
          FROM "${table}" WHERE status < 'running' AND scheduled_at >= '-infinity' AND limit_key IS NOT NULL AND scheduled_at <= now() GROUP BY limit_key
        ) AS counted
        GROUP BY counted.limit_key
        WINDOW of_limit AS (PARTITION BY split_part(counted.limit_key, ':', 1))
      ) AS keys
      WHERE position <= $2
      ORDER BY position`,
    },

    prune: {
      name: 'async-gen:prune-limit-starts',
      text: `
      -- $1 model, $2 batch size
      DELETE FROM async_limit_starts WHERE (model, limit_key) IN (
        SELECT model, limit_key FROM async_limit_starts
        WHERE model = $1 AND expires_at < now() AND (wake_at IS NULL OR wake_at < now())
        LIMIT $2
        FOR UPDATE SKIP LOCKED
      )
      RETURNING limit_key`,
    },
  }) satisfies Record<string, Statement>
