import { livingWorkers } from '../../core/living-workers.js'
import type { Statement } from '../../core/statement.js'
import { increment } from './toasts.js'

/** How many rows one statement deletes or lists. */
export const PRUNING_BATCH = 1000

/** Whether a refresh is due or claimed. */
export const mayNeedSweep = `
  EXISTS (SELECT FROM toasts WHERE refresh_at <= now())
  OR EXISTS (SELECT FROM toasts WHERE locked_by IS NOT NULL)`

/** The statements of the sweep and of pruning on the table `toasts`. */
export const maintenanceStatements = {
  // LIMIT with a number, and (SELECT $1): see `Statement`.
  listAfter: {
    name: 'toasts:list-after',
    text: `
      SELECT id, name, key, updated_at
      FROM toasts
      WHERE id > (SELECT $1::bigint)
      ORDER BY id
      LIMIT ${PRUNING_BATCH}`,
  },

  deleteByIds: {
    name: 'toasts:delete-by-ids',
    text: `
      DELETE FROM toasts WHERE id IN (
        SELECT id FROM toasts WHERE id = ANY ($1::bigint[]) FOR UPDATE SKIP LOCKED
      )
      RETURNING id`,
  },

  // Releases the refreshes of dead workers, and those that this worker has claimed but no longer runs, because it could not store their
  // outcome. These were claimed more than a minute ago: the answer to a claim arrives much earlier. The next try follows the backoff.
  // Without IS NOT NULL, the planner could not use the index of claimed rows.
  rescue: {
    name: 'toasts:rescue',
    text: `
      -- $1 this worker, $2 ids and $3 runs of its running refreshes, $4 delays (ms) by the number of failures
      UPDATE toasts SET
        refresh_at = clock_timestamp()
          + ($4::float8[])[greatest(least(failures, cardinality($4::float8[]) - 1), 0) + 1] * interval '1 millisecond',
        locked_by = NULL,
        progress = NULL,
        progress_message = NULL,
        failures = ${increment('failures')},
        error = json_build_object(
          'name', 'WorkerDied',
          'message', 'The worker ended, or lost the database, before it could store the value.'
        ),
        updated_at = clock_timestamp()
      WHERE id IN (
        SELECT id
        FROM toasts
        WHERE locked_by IS NOT NULL AND (
          locked_by NOT IN (${livingWorkers})
          OR (
            locked_by = $1
            AND (id, run) NOT IN (SELECT * FROM unnest($2::bigint[], $3::integer[]))
            AND (updated_at BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp() + interval '1 minute') IS NOT TRUE
          )
        )
        FOR UPDATE SKIP LOCKED
      )
      RETURNING id`,
  },

  // The rows that are due for longest come first; later sweeps see the others. A job that has been locked for a minute while its row is
  // still unclaimed counts as lost.
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

  // ANY (ARRAY(…)): with IN, the prepared statement may join the ids with the whole table. LIMIT with a number: see `Statement`.
  pruneExpired: {
    name: 'toasts:prune-expired',
    text: `
      DELETE FROM toasts WHERE id = ANY (ARRAY(
        SELECT id
        FROM toasts
        WHERE locked_by IS NULL AND expires_at <= now()
        ORDER BY expires_at
        LIMIT ${PRUNING_BATCH}
        FOR UPDATE SKIP LOCKED
      ))
      RETURNING id`,
  },
  // Times that are infinite, in rows that were written by hand, have no age. A partial index serves the counts.
  statistics: {
    name: 'toasts:statistics',
    text: `
      SELECT
        count(*) FILTER (WHERE refresh_at <= now())::int AS due,
        coalesce(
          extract(epoch FROM clock_timestamp() - min(refresh_at) FILTER (WHERE refresh_at <= now() AND isfinite(refresh_at))), 0
        )::float8 AS "oldestDue",
        count(*) FILTER (WHERE locked_by IS NOT NULL)::int AS running,
        count(*) FILTER (WHERE failures > 0)::int AS failed
      FROM toasts
      WHERE refresh_at IS NOT NULL`,
  },
} satisfies Record<string, Statement>
