import { livingWorkers } from '../../core/living-workers.js'
import type { Statement } from '../../core/statement.js'

// Convention of the folders sql/: a statement with three or more parameters begins with a comment that names them. The store passes the values
// in that order.

// The columns that a reader needs. They are named one by one, because a prepared `SELECT *` fails on open connections after a migration
// adds a column. Ages use the clock of the database, because clients' clocks differ. The time is sent in milliseconds, because Prisma's
// driver adapters misread times where TimeZone is not UTC or DateStyle is not ISO.
const readColumns = `
  value, version, epoch IS DISTINCT FROM value_epoch AS invalidated, elapsed, run,
  CASE WHEN isfinite(cached_at) THEN floor(date_part('epoch', cached_at) * 1000 + 0.0005)::bigint END AS cached_at,
  CASE WHEN expires_at <= statement_timestamp() OR NOT isfinite(cached_at) THEN NULL
    ELSE date_part('epoch', statement_timestamp() - cached_at) * 1000
  END AS age,
  CASE WHEN refresh_at IS NOT NULL OR failures > 0 THEN
    json_build_object(
      'requested', refresh_at IS NOT NULL AND refresh_at < 'infinity', 'wanted_version', wanted_version,
      'invalidated_again', wanted_epoch < epoch,
      'locked_by', locked_by, 'progress', progress, 'progress_message', progress_message,
      'failures', failures, 'error', error
    )
  END AS refresh`

// A refresh that a worker has claimed.
const claimedColumns = `
  id, name, key, task, run, locked_by AS worker, args, epoch, failures,
  wanted_version AS "wantedVersion", trace_context AS "enqueuedBy",
  cached_at AS "cachedAt", value_epoch < 0 AS "isProvisional"`

/** The longest time that a value is kept, in milliseconds. A longer one (infinity, NaN) means that the value does not expire. */
const MAX_EXPIRY = 1e13

/** Increments a column of type integer. Starts again from 0 at its largest value, which a row written by hand may hold. */
export function increment(column: string): string {
  return `CASE WHEN ${column} < 2147483647 THEN greatest(${column}, -1) + 1 ELSE 0 END`
}

// Whether the run that was claimed is still the current one. A row that was deleted and created again has another id.
const isOwnRun = 'id = $1 AND run = $2 AND locked_by = $3'

/** The statements that read, request and run refreshes of the table `toasts`. Those of the sweep are in maintenance.ts. */
export const statements = {
  readOne: {
    name: 'toasts:read-one',
    text: `SELECT ${readColumns} FROM toasts WHERE name = $1 AND key = $2`,
  },

  readMany: {
    name: 'toasts:read-many',
    padded: 'with nulls',
    text: `
      SELECT name, key, ${readColumns}
      FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) AS id (name, key)) AS requested
      JOIN toasts USING (name, key)`,
  },

  // All callers lock the rows in the same order, to avoid deadlocks. $2 is the lock timeout in milliseconds, or null for the timeout of the
  // session. The WHERE clause forces set_config to run before any row is locked.
  request: {
    name: 'toasts:request',
    noRetryWhenLocked: true,
    text: `
      INSERT INTO toasts AS toast (name, key, task, args, expires_in, wanted_version, trace_context, run, refresh_at)
      SELECT name, key, task, args::jsonb, expires_in, version, trace_context, observed_run, clock_timestamp()
      FROM
        (SELECT set_config('lock_timeout', coalesce($2, current_setting('lock_timeout')), true)) AS lock_timeout (is_set),
        jsonb_to_recordset($1::jsonb) AS requested (
          name text, key text, task text, args text, expires_in double precision,
          version text, trace_context jsonb, observed_run integer
        )
      WHERE is_set IS NOT NULL
      ORDER BY key, name
      ON CONFLICT (key, name) DO UPDATE SET
        args = excluded.args,
        expires_in = excluded.expires_in,
        wanted_version = excluded.wanted_version,
        trace_context = excluded.trace_context,
        wanted_epoch = toast.epoch,
        refresh_at = coalesce(nullif(toast.refresh_at, 'infinity'), clock_timestamp()),
        updated_at = clock_timestamp()
      WHERE toast.run = excluded.run AND (
        toast.refresh_at IS NULL OR toast.refresh_at = 'infinity'
        OR toast.wanted_version IS DISTINCT FROM excluded.wanted_version
        OR toast.wanted_epoch < toast.epoch
      )`,
  },

  expire: {
    name: 'toasts:expire',
    text: `
      -- $1 name, $2 key, $3 task, $4 version, $5 trace context
      INSERT INTO toasts AS toast (name, key, task, wanted_version, trace_context, refresh_at)
      VALUES ($1, $2, $3, $4, $5::jsonb, clock_timestamp())
      ON CONFLICT (key, name) DO UPDATE SET
        epoch = ${increment('toast.epoch')},
        wanted_epoch = ${increment('toast.epoch')},
        wanted_version = excluded.wanted_version,
        trace_context = excluded.trace_context,
        refresh_at = least(toast.refresh_at, clock_timestamp()),
        updated_at = clock_timestamp()`,
  },

  // Skips a row that another transaction has locked. The sweep enqueues it again.
  claim: {
    name: 'toasts:claim',
    once: true,
    text: `
      -- $1 name, $2 key, $3 worker
      UPDATE toasts SET
        locked_by = $3,
        run = ${increment('run')},
        epoch = greatest(epoch, 0),
        wanted_epoch = greatest(epoch, 0),
        progress = NULL,
        progress_message = NULL,
        updated_at = clock_timestamp()
      WHERE id = (
        SELECT id
        FROM toasts
        WHERE name = $1 AND key = $2 AND locked_by IS NULL AND refresh_at <= clock_timestamp()
        FOR UPDATE SKIP LOCKED
      )
      RETURNING ${claimedColumns}`,
  },

  // For a reader that computes the value itself: claims the row whether or not a refresh is due, unless the row has changed since it
  // was read ($8, $9).
  claimNow: {
    name: 'toasts:claim-now',
    once: true,
    text: `
      -- $1 name, $2 key, $3 task, $4 version, $5 args, $6 expires in (ms), $7 worker, $8 run when read, $9 locked_by when read
      INSERT INTO toasts AS toast (name, key, task, wanted_version, args, expires_in, locked_by, run, refresh_at)
      VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, 1, clock_timestamp())
      ON CONFLICT (key, name) DO UPDATE SET
        locked_by = excluded.locked_by,
        run = ${increment('toast.run')},
        args = excluded.args,
        expires_in = excluded.expires_in,
        wanted_version = excluded.wanted_version,
        epoch = greatest(toast.epoch, 0),
        wanted_epoch = greatest(toast.epoch, 0),
        trace_context = NULL,
        refresh_at = coalesce(toast.refresh_at, clock_timestamp()),
        progress = NULL,
        progress_message = NULL,
        updated_at = clock_timestamp()
      WHERE toast.run = $8 AND toast.locked_by IS NOT DISTINCT FROM $9
        AND (toast.locked_by IS NULL OR toast.locked_by NOT IN (${livingWorkers}))
      RETURNING ${claimedColumns}`,
  },

  // Finds the row of a claim whose answer was lost.
  findClaimed: {
    name: 'toasts:find-claimed',
    text: `
      -- $1 name, $2 key, $3 worker
      SELECT ${claimedColumns} FROM toasts WHERE name = $1 AND key = $2 AND locked_by = $3`,
  },

  // Whether an open transaction has written to a table with an invalidation trigger for the toasts of $1. A write locks its table before
  // the trigger runs, and the lock lasts until the transaction ends. The first argument of the trigger is the model whose toasts it marks.
  // A transaction that began after $2 does not matter: its trigger finds the row.
  hasOpenChanges: {
    name: 'toasts:has-open-changes',
    text: `
      SELECT EXISTS (
        SELECT FROM pg_trigger AS trigger
        JOIN pg_locks AS lock ON lock.relation = trigger.tgrelid
        WHERE trigger.tgname LIKE 'toasts\\_invalidate\\_on\\_%'
          AND starts_with($1, split_part(encode(trigger.tgargs, 'escape'), '\\000', 1) || '.')
          AND lock.locktype = 'relation' AND lock.mode = 'RowExclusiveLock' AND lock.granted
          AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND lock.pid IS DISTINCT FROM pg_backend_pid()
          AND NOT EXISTS (
            SELECT FROM pg_stat_activity AS session WHERE session.pid = lock.pid AND session.xact_start >= $2
          )
      ) AS found`,
  },

  // Requests one more refresh where a reader saw a newer version or invalidation while the value was computed. A provisional value
  // ($6 < 0) is computed again too, at growing intervals for as long as the transaction that makes it provisional stays open.
  store: {
    name: 'toasts:store',
    text: `
      -- $1 id, $2 run, $3 worker, $4 value, $5 version, $6 epoch, $7 elapsed (s), $8 version wanted when claimed
      UPDATE toasts SET
        value = $4::jsonb,
        version = $5,
        value_epoch = $6,
        cached_at = statement_timestamp() - $7::double precision * interval '1 second',
        elapsed = $7,
        expires_at = CASE
          WHEN abs(expires_in) < ${MAX_EXPIRY} THEN clock_timestamp() + expires_in * interval '1 millisecond'
        END,
        refresh_at = CASE
          WHEN $6 < 0 THEN clock_timestamp() + least(
            greatest(2 * (clock_timestamp() - CASE WHEN isfinite(cached_at) THEN cached_at END), interval '1 second'),
            interval '1 minute'
          )
          WHEN wanted_epoch > $6 THEN clock_timestamp()
          WHEN wanted_version IS DISTINCT FROM $8 AND wanted_version IS DISTINCT FROM $5 THEN clock_timestamp()
        END,
        locked_by = NULL,
        progress = NULL,
        progress_message = NULL,
        failures = 0,
        error = NULL,
        updated_at = clock_timestamp()
      WHERE ${isOwnRun}
      RETURNING id`,
  },

  storeProgress: {
    name: 'toasts:store-progress',
    text: `
      -- $1 id, $2 run, $3 worker, $4 progress, $5 message
      UPDATE toasts SET progress = $4, progress_message = $5 WHERE ${isOwnRun} RETURNING id`,
  },

  // A row without a value and without a next try keeps its error for a day.
  storeFailure: {
    name: 'toasts:store-failure',
    text: `
      -- $1 id, $2 run, $3 worker, $4 error, $5 delay until the next try (ms), null for no try
      UPDATE toasts SET
        refresh_at = clock_timestamp() + $5::double precision * interval '1 millisecond',
        locked_by = NULL,
        progress = NULL,
        progress_message = NULL,
        failures = ${increment('failures')},
        error = $4::jsonb,
        expires_at = CASE
          WHEN $5 IS NULL AND cached_at IS NULL THEN clock_timestamp() + interval '1 day'
          ELSE expires_at
        END,
        updated_at = clock_timestamp()
      WHERE ${isOwnRun}
      RETURNING id`,
  },

  release: {
    name: 'toasts:release',
    text: `
      -- $1 id, $2 run, $3 worker
      UPDATE toasts SET refresh_at = clock_timestamp(), locked_by = NULL, progress = NULL, progress_message = NULL,
        updated_at = clock_timestamp()
      WHERE ${isOwnRun}
      RETURNING id`,
  },

  remove: {
    name: 'toasts:remove',
    text: `
      -- $1 id, $2 run, $3 worker
      DELETE FROM toasts WHERE ${isOwnRun} RETURNING id`,
  },

  clear: {
    name: 'toasts:clear',
    text: `DELETE FROM toasts WHERE name = $1 OR starts_with(name, $1 || '@') RETURNING id`,
  },

  clearRefreshes: {
    name: 'toasts:clear-refreshes',
    text: `
      WITH cleared AS (
        UPDATE toasts SET refresh_at = NULL, updated_at = clock_timestamp()
        WHERE (name = $1 OR starts_with(name, $1 || '@')) AND refresh_at IS NOT NULL AND locked_by IS NULL
        RETURNING id
      )
      SELECT (graphile_worker.remove_job('toast:' || id)).id FROM cleared`,
  },

  clearCached: {
    name: 'toasts:clear-cached',
    text: 'DELETE FROM toasts WHERE args IS NOT NULL RETURNING id',
  },
} satisfies Record<string, Statement>
