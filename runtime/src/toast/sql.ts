import type { Statement } from '../database.js'
import { livingWorkers } from '../presence.js'

// Few columns, as reading a row takes as long as it has columns; named one by one, as a prepared `SELECT *` breaks on open
// connections when a migration adds a column.
const seen = `
  value, version, epoch IS DISTINCT FROM value_epoch AS invalidated, cached_at, elapsed, expires_at, run,
  CASE WHEN refresh_at IS NOT NULL OR failures > 0 THEN
    json_build_object(
      'wanted', refresh_at IS NOT NULL, 'wanted_version', wanted_version, 'behind', wanted_epoch < epoch,
      'locked_by', locked_by, 'progress', progress, 'failures', failures, 'error', error
    )
  END AS refresh`

const claimed = `
  name, key, task, run, locked_by AS worker, args, epoch, failures,
  wanted_version AS "wantedVersion", cached_at IS NULL AS first`

/** The statements of the table `toasts`. */
export const statements = {
  readOne: {
    name: 'toasts:read-one',
    text: `SELECT ${seen} FROM toasts WHERE name = $1 AND key = $2`,
  },

  readMany: {
    name: 'toasts:read-many',
    text: `
      SELECT name, key, ${seen}
      FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) AS id (name, key)) AS wanted
      JOIN toasts USING (name, key)`,
  },

  // In one order for everybody, so that no two requests wait for each other.
  request: {
    name: 'toasts:request',
    text: `
      INSERT INTO toasts AS toast (name, key, task, args, expires_in, wanted_version, run, refresh_at)
      SELECT name, key, task, args::jsonb, expires_in, version, seen_run, clock_timestamp()
      FROM jsonb_to_recordset($1::jsonb)
        AS wanted (name text, key text, task text, args text, expires_in double precision, version text, seen_run integer)
      ORDER BY key, name
      ON CONFLICT (key, name) DO UPDATE SET
        args = excluded.args,
        expires_in = excluded.expires_in,
        wanted_version = excluded.wanted_version,
        wanted_epoch = toast.epoch,
        refresh_at = coalesce(toast.refresh_at, clock_timestamp()),
        updated_at = clock_timestamp()
      WHERE toast.run = excluded.run AND (
        toast.refresh_at IS NULL
        OR toast.wanted_version IS DISTINCT FROM excluded.wanted_version
        OR toast.wanted_epoch < toast.epoch
      )`,
  },

  expire: {
    name: 'toasts:expire',
    text: `
      INSERT INTO toasts AS toast (name, key, task, wanted_version, refresh_at)
      VALUES ($1, $2, $3, $4, clock_timestamp())
      ON CONFLICT (key, name) DO UPDATE SET
        epoch = toast.epoch + 1,
        wanted_epoch = toast.epoch + 1,
        wanted_version = excluded.wanted_version,
        refresh_at = CASE
          WHEN toast.locked_by IS NULL THEN least(toast.refresh_at, clock_timestamp())
          ELSE toast.refresh_at
        END,
        updated_at = clock_timestamp()`,
  },

  claim: {
    name: 'toasts:claim',
    text: `
      UPDATE toasts SET
        locked_by = $3,
        run = run + 1,
        wanted_epoch = epoch,
        progress = NULL,
        updated_at = clock_timestamp()
      WHERE name = $1 AND key = $2 AND locked_by IS NULL AND refresh_at <= clock_timestamp()
      RETURNING ${claimed}`,
  },

  take: {
    name: 'toasts:take',
    text: `
      INSERT INTO toasts AS toast (name, key, task, wanted_version, args, expires_in, locked_by, run, refresh_at)
      VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, 1, clock_timestamp())
      ON CONFLICT (key, name) DO UPDATE SET
        locked_by = excluded.locked_by,
        run = toast.run + 1,
        args = excluded.args,
        expires_in = excluded.expires_in,
        wanted_version = excluded.wanted_version,
        wanted_epoch = toast.epoch,
        refresh_at = coalesce(toast.refresh_at, clock_timestamp()),
        progress = NULL,
        updated_at = clock_timestamp()
      WHERE toast.run = $8 AND (toast.locked_by IS NULL OR toast.locked_by NOT IN (${livingWorkers}))
      RETURNING ${claimed}`,
  },

  // A lock on a table is held until its transaction ends, and the first write takes it before the trigger runs.
  changesAhead: {
    name: 'toasts:changes-ahead',
    text: `
      SELECT EXISTS (
        SELECT FROM pg_trigger AS trigger
        JOIN pg_locks AS lock ON lock.relation = trigger.tgrelid
        WHERE trigger.tgname LIKE 'toasts\\_invalidate\\_on\\_%'
          AND lock.locktype = 'relation' AND lock.mode = 'RowExclusiveLock' AND lock.granted
          AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND lock.pid <> pg_backend_pid()
      ) AS ahead`,
  },

  // A reader who saw a newer version or invalidation while the value was computed asked for one more refresh.
  store: {
    name: 'toasts:store',
    text: `
      UPDATE toasts SET
        value = $5::jsonb,
        version = $6,
        value_epoch = $7,
        cached_at = $8,
        elapsed = $9,
        expires_at = clock_timestamp() + expires_in * interval '1 millisecond',
        refresh_at = CASE
          WHEN wanted_epoch > $7 THEN clock_timestamp()
          WHEN wanted_version IS DISTINCT FROM $10 AND wanted_version IS DISTINCT FROM $6 THEN clock_timestamp()
        END,
        locked_by = NULL,
        progress = NULL,
        failures = 0,
        error = NULL,
        updated_at = clock_timestamp()
      WHERE name = $1 AND key = $2 AND run = $3 AND locked_by = $4
      RETURNING id`,
  },

  advance: {
    name: 'toasts:advance',
    text: `
      UPDATE toasts SET progress = $5
      WHERE name = $1 AND key = $2 AND run = $3 AND locked_by = $4
      RETURNING id`,
  },

  // A row that holds no value and wants none only remembers its failure, for a day.
  postpone: {
    name: 'toasts:postpone',
    text: `
      UPDATE toasts SET
        refresh_at = clock_timestamp() + $6::double precision * interval '1 millisecond',
        locked_by = NULL,
        progress = NULL,
        failures = failures + 1,
        error = $5::jsonb,
        expires_at = CASE
          WHEN $6 IS NULL AND cached_at IS NULL THEN clock_timestamp() + interval '1 day'
          ELSE expires_at
        END,
        updated_at = clock_timestamp()
      WHERE name = $1 AND key = $2 AND run = $3 AND locked_by = $4`,
  },

  release: {
    name: 'toasts:release',
    text: `
      UPDATE toasts SET refresh_at = clock_timestamp(), locked_by = NULL, progress = NULL, updated_at = clock_timestamp()
      WHERE name = $1 AND key = $2 AND run = $3 AND locked_by = $4`,
  },

  remove: {
    name: 'toasts:remove',
    text: 'DELETE FROM toasts WHERE name = $1 AND key = $2',
  },

  clear: {
    name: 'toasts:clear',
    text: `DELETE FROM toasts WHERE name = $1 OR starts_with(name, $1 || '@') RETURNING id`,
  },

  clearCached: {
    name: 'toasts:clear-cached',
    text: 'DELETE FROM toasts WHERE args IS NOT NULL RETURNING id',
  },

  page: {
    name: 'toasts:page',
    text: 'SELECT id, name, key, updated_at FROM toasts WHERE id > $1 ORDER BY id LIMIT $2',
  },

  forget: {
    name: 'toasts:forget',
    text: 'DELETE FROM toasts WHERE id = ANY ($1::bigint[]) AND locked_by IS NULL RETURNING id',
  },

  rescue: {
    name: 'toasts:rescue',
    text: `
      UPDATE toasts SET
        refresh_at = clock_timestamp() + least(power(2, failures), 3600) * interval '1 second',
        locked_by = NULL,
        progress = NULL,
        failures = failures + 1,
        error = '{"name": "WorkerDied", "message": "The worker ended before the value was computed."}',
        updated_at = clock_timestamp()
      WHERE locked_by NOT IN (${livingWorkers})
      RETURNING id`,
  },

  enqueueDue: {
    name: 'toasts:enqueue-due',
    text: `
      WITH due AS (
        SELECT id, name, key, task, refresh_at
        FROM toasts
        WHERE refresh_at <= now() AND locked_by IS NULL AND NOT EXISTS (
          SELECT FROM graphile_worker.jobs AS job
          WHERE job.key = 'toast:' || toasts.id AND job.attempts < job.max_attempts
        )
        ORDER BY id
        LIMIT $1
      )
      SELECT (
        graphile_worker.add_job(
          task, json_build_object('name', name, 'key', key),
          run_at => refresh_at, job_key => 'toast:' || id
        )
      ).id
      FROM due`,
  },

  pruneExpired: {
    name: 'toasts:prune-expired',
    text: `
      DELETE FROM toasts WHERE id IN (
        SELECT id
        FROM toasts
        WHERE locked_by IS NULL AND expires_at <= now()
        ORDER BY expires_at
        LIMIT $1
        FOR UPDATE SKIP LOCKED
      )
      RETURNING id`,
  },
} satisfies Record<string, Statement>
