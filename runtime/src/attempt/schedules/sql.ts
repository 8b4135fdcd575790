import type { Statement } from '../../core/statement.js'

/** The statements on async_schedules. */
export const scheduleStatements = {
  // An unchanged schedule keeps its state. One with the name of a row that stands not in code is left out.
  write: {
    name: 'async_schedules:write',
    text: `
      -- $1 model, $2 in code, $3 schedules as a JSON array
      INSERT INTO async_schedules (model, name, in_code, target, method, args, cron, tz, missed, overlap, recorded_until)
      SELECT $1::text, name, $2::boolean, target, method, args::jsonb, cron, tz, missed, overlap, clock_timestamp()
      FROM jsonb_to_recordset($3::jsonb) AS schedule (
        name text, target text, method text, args text, cron text, tz text, missed text, overlap text
      )
      ORDER BY name
      ON CONFLICT (model, name) DO UPDATE SET
        target = excluded.target, method = excluded.method, args = excluded.args,
        cron = excluded.cron, tz = excluded.tz, missed = excluded.missed, overlap = excluded.overlap
      WHERE async_schedules.in_code = $2
      RETURNING name`,
  },

  removeOthersInCode: {
    name: 'async_schedules:remove-others-in-code',
    text: 'DELETE FROM async_schedules WHERE model = $1 AND in_code AND name <> ALL ($2::text[]) RETURNING name',
  },

  remove: {
    name: 'async_schedules:remove',
    text: 'DELETE FROM async_schedules WHERE model = $1 AND name = $2 AND NOT in_code RETURNING name',
  },

  isInCode: {
    name: 'async_schedules:is-in-code',
    text: 'SELECT FROM async_schedules WHERE model = $1 AND name = $2 AND in_code',
  },

  list: {
    name: 'async_schedules:list',
    text: `
      SELECT
        model, name, in_code AS "inCode", target, method, cron, tz, missed, overlap, waiting, error,
        last_at AS "lastAt", CASE WHEN isfinite(next_at) THEN next_at END AS "nextAt"
      FROM async_schedules
      WHERE $1::text IS NULL OR model = $1
      ORDER BY model, name
      LIMIT $2::int`,
  },

  hasDue: {
    name: 'async_schedules:has-due',
    text: 'SELECT FROM async_schedules WHERE model = $1 AND (next_at <= clock_timestamp() OR next_at IS NULL) LIMIT 1',
  },

  // A schedule that another worker has locked is left to it.
  lockDue: {
    name: 'async_schedules:lock-due',
    text: `
      SELECT
        name, target, method, args::text AS args, cron, tz, missed, overlap, waiting,
        recorded_until AS "recordedUntil", clock_timestamp() AS now
      FROM async_schedules
      WHERE model = $1 AND (next_at <= clock_timestamp() OR next_at IS NULL)
      ORDER BY next_at NULLS FIRST
      LIMIT $2
      FOR UPDATE SKIP LOCKED`,
  },

  store: {
    name: 'async_schedules:store',
    text: `
      -- $1 model, $2 name, $3 last recorded occurrence or null, $4 next, $5 recorded until, $6 waiting, $7 error
      UPDATE async_schedules SET
        last_at = greatest(last_at, $3::timestamptz),
        next_at = coalesce($4::timestamptz, 'infinity'),
        recorded_until = $5::timestamptz,
        waiting = $6::boolean,
        error = $7::text
      WHERE model = $1 AND name = $2`,
  },

  // After the clock was set back.
  resetFuture: {
    name: 'async_schedules:reset-future',
    text: `
      UPDATE async_schedules SET recorded_until = clock_timestamp(), next_at = NULL
      WHERE model = $1 AND name IN (
        SELECT name FROM async_schedules
        WHERE model = $1 AND recorded_until > clock_timestamp() + $2::float8 * interval '1 millisecond'
        FOR UPDATE SKIP LOCKED
      )`,
  },

  // One statement for the schedules of all models, as an idle worker sends it every second. An occurrence that waits may be due at any time.
  next: {
    name: 'async_schedules:next',
    text: `
      -- $1 models
      SELECT
        (
          SELECT (extract(epoch FROM next_at - clock_timestamp()) * 1000)::float8
          FROM async_schedules
          WHERE model = ANY ($1::text[]) AND next_at < 'infinity'
          ORDER BY next_at
          LIMIT 1
        ) AS wait,
        EXISTS (SELECT FROM async_schedules WHERE model = ANY ($1::text[]) AND next_at IS NULL)
          OR EXISTS (SELECT FROM async_schedules WHERE model = ANY ($1::text[]) AND next_at = 'infinity' AND waiting) AS "isDue"`,
  },
} satisfies Record<string, Statement>

/** The statements on schedules and the attempts of one table. */
export const scheduledAttemptStatements = (table: string) =>
  ({
    running: {
      name: `${table}:scheduled-running`,
      text: `
        SELECT DISTINCT schedule AS name FROM "${table}"
        WHERE schedule = ANY ($1::text[]) AND status IN ('pending', 'running')`,
    },

    // A schedule whose occurrence waits is due when the attempt before has ended.
    endWait: {
      name: `${table}:end-schedule-wait`,
      text: `
        UPDATE async_schedules SET next_at = clock_timestamp()
        WHERE model = $1 AND name IN (
          SELECT name FROM async_schedules AS schedule
          WHERE model = $1 AND waiting AND next_at = 'infinity' AND NOT EXISTS (
            SELECT FROM "${table}" AS attempt
            WHERE attempt.schedule = schedule.name AND attempt.status IN ('pending', 'running')
          )
          FOR UPDATE SKIP LOCKED
        )`,
    },

    // What a removed schedule has left. Runs go on.
    cancelRemoved: {
      name: `${table}:cancel-removed-schedules`,
      text: `
        UPDATE "${table}" SET status = 'cancelled', completed_at = clock_timestamp(), updated_at = clock_timestamp()
        WHERE id = ANY (ARRAY(
          SELECT id FROM "${table}" AS attempt
          WHERE schedule IS NOT NULL AND status IN ('pending', 'running') AND status = 'pending' AND NOT EXISTS (
            SELECT FROM async_schedules WHERE model = $1 AND name = attempt.schedule
          )
          LIMIT 1000
          FOR NO KEY UPDATE SKIP LOCKED
        ))
        RETURNING id`,
    },

    record: {
      name: `${table}:record-scheduled`,
      text: `
        -- $1 occurrences as a JSON array
        INSERT INTO "${table}" (id, target, method, args, encryptor, priority, idempotence_token, scheduled_at, schedule)
        SELECT
          coalesce(id, nextval(pg_get_serial_sequence('"${table}"', 'id'))),
          target, method, args::jsonb, encryptor, coalesce(priority, 10), token, "at", schedule
        FROM jsonb_to_recordset($1::jsonb) AS occurrence (
          id bigint, target text, method text, args text, encryptor text, priority int, token text, "at" timestamptz, schedule text
        )
        ORDER BY token, target, method
        ON CONFLICT (target, method, idempotence_token) WHERE idempotence_token IS NOT NULL DO NOTHING
        RETURNING id`,
    },
  }) satisfies Record<string, Statement>
