import { livingWorkers } from '../core/living-workers.js'
import type { Statement } from '../core/statement.js'

// Few columns, as reading a row takes as long as it has columns; named one by one, as a prepared `SELECT *` breaks on open
// connections when a migration adds a column. Ages by the clock of the database: no two clients have the same.
// The time in milliseconds, as driver adapters of Prisma's read times wrong where TimeZone is not UTC, or DateStyle not ISO.
const seen = `
  value, version, epoch IS DISTINCT FROM value_epoch AS invalidated, elapsed, run,
  CASE WHEN isfinite(cached_at) THEN floor(date_part('epoch', cached_at) * 1000 + 0.0005)::bigint END AS cached_at,
  CASE WHEN expires_at <= statement_timestamp() OR NOT isfinite(cached_at) THEN NULL
    ELSE date_part('epoch', statement_timestamp() - cached_at) * 1000
  END AS age,
  CASE WHEN refresh_at IS NOT NULL OR failures > 0 THEN
    json_build_object(
      'wanted', refresh_at IS NOT NULL AND refresh_at < 'infinity', 'wanted_version', wanted_version, 'behind', wanted_epoch < epoch,
      'locked_by', locked_by, 'progress', progress, 'failures', failures, 'error', error
    )
  END AS refresh`

const claimed = `
  id, name, key, task, run, locked_by AS worker, args, epoch, failures,
  wanted_version AS "wantedVersion", trace_context AS "enqueuedBy",
  cached_at AS "cachedAt", value_epoch < 0 AS doubtful`

/** Longer than any value is kept, in milliseconds: what a double holds beyond it (infinity, NaN) is no length of time. */
const CENTURIES = 1e13

/** Counts on from a column, and begins again where an integer ends. A row that was written by hand may hold any. */
function next(column: string): string {
  return `CASE WHEN ${column} < 2147483647 THEN greatest(${column}, -1) + 1 ELSE 0 END`
}

// A row that was made anew meanwhile has another id.
const inHand = 'id = $1 AND run = $2 AND locked_by = $3'

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

  // In one order for everybody, so that no two requests wait for each other. They wait for a transaction that has locked one
  // of the rows as long as $2 says; the setting is there before the rows are sorted.
  request: {
    name: 'toasts:request',
    answersLocked: true,
    text: `
      INSERT INTO toasts AS toast (name, key, task, args, expires_in, wanted_version, trace_context, run, refresh_at)
      SELECT name, key, task, args::jsonb, expires_in, version, trace_context, seen_run, clock_timestamp()
      FROM
        (SELECT set_config('lock_timeout', coalesce($2, current_setting('lock_timeout')), true)) AS patience (is_set),
        jsonb_to_recordset($1::jsonb) AS wanted (
          name text, key text, task text, args text, expires_in double precision,
          version text, trace_context jsonb, seen_run integer
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
      INSERT INTO toasts AS toast (name, key, task, wanted_version, trace_context, refresh_at)
      VALUES ($1, $2, $3, $4, $5::jsonb, clock_timestamp())
      ON CONFLICT (key, name) DO UPDATE SET
        epoch = ${next('toast.epoch')},
        wanted_epoch = ${next('toast.epoch')},
        wanted_version = excluded.wanted_version,
        trace_context = excluded.trace_context,
        refresh_at = least(toast.refresh_at, clock_timestamp()),
        updated_at = clock_timestamp()`,
  },

  // A worker does not wait for a transaction that has locked the row: the sweep enqueues it again.
  claim: {
    name: 'toasts:claim',
    once: true,
    text: `
      UPDATE toasts SET
        locked_by = $3,
        run = ${next('run')},
        epoch = greatest(epoch, 0),
        wanted_epoch = greatest(epoch, 0),
        progress = NULL,
        updated_at = clock_timestamp()
      WHERE id = (
        SELECT id
        FROM toasts
        WHERE name = $1 AND key = $2 AND locked_by IS NULL AND refresh_at <= clock_timestamp()
        FOR UPDATE SKIP LOCKED
      )
      RETURNING ${claimed}`,
  },

  take: {
    name: 'toasts:take',
    once: true,
    text: `
      INSERT INTO toasts AS toast (name, key, task, wanted_version, args, expires_in, locked_by, run, refresh_at)
      VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, 1, clock_timestamp())
      ON CONFLICT (key, name) DO UPDATE SET
        locked_by = excluded.locked_by,
        run = ${next('toast.run')},
        args = excluded.args,
        expires_in = excluded.expires_in,
        wanted_version = excluded.wanted_version,
        epoch = greatest(toast.epoch, 0),
        wanted_epoch = greatest(toast.epoch, 0),
        trace_context = NULL,
        refresh_at = coalesce(toast.refresh_at, clock_timestamp()),
        progress = NULL,
        updated_at = clock_timestamp()
      WHERE toast.run = $8 AND toast.locked_by IS NOT DISTINCT FROM $9
        AND (toast.locked_by IS NULL OR toast.locked_by NOT IN (${livingWorkers}))
      RETURNING ${claimed}`,
  },

  // What a claim took whose answer was lost.
  held: {
    name: 'toasts:held',
    text: `SELECT ${claimed} FROM toasts WHERE name = $1 AND key = $2 AND locked_by = $3`,
  },

  // A lock on a table is held until its transaction ends, and the first write takes it before the trigger runs. The trigger's
  // first argument is the model whose toasts it marks, and those of $1 are one. A transaction that has begun since $2 has a
  // trigger that finds the row.
  changesAhead: {
    name: 'toasts:changes-ahead',
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
      ) AS ahead`,
  },

  // A reader who saw a newer version or invalidation while the value was computed asked for one more refresh. A doubtful value
  // is computed again, less and less often while the transaction goes on that makes it so.
  store: {
    name: 'toasts:store',
    text: `
      UPDATE toasts SET
        value = $4::jsonb,
        version = $5,
        value_epoch = $6,
        cached_at = statement_timestamp() - $7::double precision * interval '1 second',
        elapsed = $7,
        expires_at = CASE
          WHEN abs(expires_in) < ${CENTURIES} THEN clock_timestamp() + expires_in * interval '1 millisecond'
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
        failures = 0,
        error = NULL,
        updated_at = clock_timestamp()
      WHERE ${inHand}
      RETURNING id`,
  },

  advance: {
    name: 'toasts:advance',
    text: `UPDATE toasts SET progress = $4 WHERE ${inHand} RETURNING id`,
  },

  // A row that holds no value and wants none only remembers its failure, for a day.
  postpone: {
    name: 'toasts:postpone',
    text: `
      UPDATE toasts SET
        refresh_at = clock_timestamp() + $5::double precision * interval '1 millisecond',
        locked_by = NULL,
        progress = NULL,
        failures = ${next('failures')},
        error = $4::jsonb,
        expires_at = CASE
          WHEN $5 IS NULL AND cached_at IS NULL THEN clock_timestamp() + interval '1 day'
          ELSE expires_at
        END,
        updated_at = clock_timestamp()
      WHERE ${inHand}`,
  },

  release: {
    name: 'toasts:release',
    text: `
      UPDATE toasts SET refresh_at = clock_timestamp(), locked_by = NULL, progress = NULL, updated_at = clock_timestamp()
      WHERE ${inHand}`,
  },

  remove: {
    name: 'toasts:remove',
    text: `DELETE FROM toasts WHERE ${inHand} RETURNING id`,
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

  page: {
    name: 'toasts:page',
    text: 'SELECT id, name, key, updated_at FROM toasts WHERE id > $1 ORDER BY id LIMIT $2',
  },

  forget: {
    name: 'toasts:forget',
    text: `
      DELETE FROM toasts WHERE id IN (
        SELECT id FROM toasts WHERE id = ANY ($1::bigint[]) FOR UPDATE SKIP LOCKED
      )
      RETURNING id`,
  },

  // Dead workers' refreshes, and those that this process ($1) no longer has in hand ($2, $3) because it could not store how they
  // ended. A minute is far longer than the answer to a claim takes to arrive. They wait for as long as `backoff` says ($4).
  rescue: {
    name: 'toasts:rescue',
    text: `
      UPDATE toasts SET
        refresh_at = clock_timestamp()
          + ($4::float8[])[greatest(least(failures, cardinality($4::float8[]) - 1), 0) + 1] * interval '1 millisecond',
        locked_by = NULL,
        progress = NULL,
        failures = ${next('failures')},
        error = json_build_object(
          'name', 'WorkerDied',
          'message', 'The worker ended, or lost the database, before it could store the value.'
        ),
        updated_at = clock_timestamp()
      WHERE id IN (
        SELECT id
        FROM toasts
        WHERE locked_by NOT IN (${livingWorkers}) OR (
          locked_by = $1
          AND (id, run) NOT IN (SELECT * FROM unnest($2::bigint[], $3::integer[]))
          AND (updated_at BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp() + interval '1 minute') IS NOT TRUE
        )
        FOR UPDATE SKIP LOCKED
      )
      RETURNING id`,
  },

  // Of those that are due for longest; once these have had their turn, others are seen. A job that has been locked for a minute while
  // its row still waits counts as lost.
  enqueueDue: {
    name: 'toasts:enqueue-due',
    text: `
      WITH due AS (
        SELECT id, name, key, task, refresh_at
        FROM toasts
        WHERE refresh_at <= now() AND locked_by IS NULL AND id = ANY (ARRAY(
          SELECT id FROM toasts
          WHERE refresh_at <= now() AND locked_by IS NULL AND starts_with(task, 'refresh_') AND length(task) <= 128
          ORDER BY refresh_at
          LIMIT $1 * 10
        )) AND NOT EXISTS (
          SELECT FROM graphile_worker.jobs AS job
          WHERE job.key = 'toast:' || toasts.id AND job.attempts < job.max_attempts
            AND (job.locked_at IS NULL OR job.locked_at > now() - interval '1 minute')
        )
        ORDER BY id
        LIMIT $1
        FOR UPDATE SKIP LOCKED
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
