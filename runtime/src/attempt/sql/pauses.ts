import type { Statement } from '../../core/statement.js'
import { isPaused } from './startable.js'

/** The statements on async_pauses. */
export const pauseStatements = {
  // A pause that has ended and begins again is a new one.
  pause: {
    name: 'async-gen:pause',
    text: `
    -- $1 model, $2 targets, $3 methods, $4 reason, $5 end in milliseconds since 1970, or $6 milliseconds from now; null for neither
    INSERT INTO async_pauses AS pause (model, target, method, reason, until)
    SELECT
      $1, target, method, $4::text,
      coalesce(to_timestamp($5::float8 / 1000), clock_timestamp() + $6::float8 * interval '1 millisecond')
    FROM unnest($2::text[], $3::text[]) AS paused (target, method)
    ON CONFLICT (model, target, method) DO UPDATE SET
      reason = excluded.reason,
      until = excluded.until,
      created_at = CASE WHEN pause.until <= clock_timestamp() THEN clock_timestamp() ELSE pause.created_at END`,
  },

  // The row stays until its waiting calls are enqueued, so that the sweep continues if this process dies.
  end: {
    name: 'async-gen:end-pause',
    once: true,
    text: `
    -- $1 model, $2 targets, $3 methods
    UPDATE async_pauses SET until = clock_timestamp()
    WHERE model = $1 AND (target, method) IN (SELECT * FROM unnest($2::text[], $3::text[]))
      AND (until IS NULL OR until > clock_timestamp())
    RETURNING target`,
  },

  inForce: {
    name: 'async-gen:pauses-in-force',
    text: `
    SELECT model, target, method, reason, CASE WHEN isfinite(until) THEN until END AS until, created_at AS since
    FROM async_pauses
    WHERE until IS NULL OR until > now()
    ORDER BY model, target, method`,
  },

  lastEnd: {
    name: 'async-gen:last-end-of-pause',
    text: `SELECT to_json(max(until)) #>> '{}' AS until FROM async_pauses WHERE model = $1 AND until <= now()`,
  },

  removeEnded: {
    name: 'async-gen:remove-ended-pauses',
    text: 'DELETE FROM async_pauses WHERE model = $1 AND until <= $2::timestamptz',
  },

  // Sweeps leave the work to the process that is doing it.
  lockResume: {
    name: 'async-gen:lock-resume',
    text: `
    -- $1 model, $2 whether to wait
    SELECT CASE
      WHEN $2 THEN pg_advisory_xact_lock(hashtextextended('async-gen:resume:' || $1, 0)) IS NOT NULL
      ELSE pg_try_advisory_xact_lock(hashtextextended('async-gen:resume:' || $1, 0))
    END AS acquired`,
  },
} satisfies Record<string, Statement>

/**
 * How many due rows of a table are paused, and the statistics of the others. Read only while a pause is in force: it looks at each due row.
 */
export const duePausedStatement = (table: string): Statement => ({
  name: `${table}:due-paused`,
  text: `
    SELECT
      count(*) FILTER (WHERE NOT paused AND limit_key IS NULL)::int AS due,
      count(*) FILTER (WHERE NOT paused AND limit_key IS NOT NULL)::int AS limited,
      count(*) FILTER (WHERE paused)::int AS paused,
      coalesce(
        extract(epoch FROM clock_timestamp() - min(scheduled_at) FILTER (WHERE NOT paused AND limit_key IS NULL AND isfinite(scheduled_at))), 0
      )::float8 AS "oldestDue"
    FROM (
      SELECT limit_key, scheduled_at, ${isPaused('attempt', '$1')} AS paused
      FROM "${table}" AS attempt
      WHERE status = 'pending' AND scheduled_at <= now()
    ) AS due`,
})
