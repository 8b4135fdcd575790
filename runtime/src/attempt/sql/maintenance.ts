import type { Statement } from '../../core/statement.js'

// ANY (ARRAY(…)): with IN, a prepared statement may join the ids with the whole table.
// LIMIT with a number, and (SELECT $1): see `Statement`.

/** How many rows one statement of the retention changes. A large backlog takes many short statements. */
export const RETENTION_BATCH = 1000

/** A status in which attempts are kept for a time, then deleted. */
export type FinishedStatus = 'succeeded' | 'failed' | 'expired' | 'cancelled'

/**
 * Deletes attempts that finished with one status before its retention period. Several statuses would not be one range of the index. Those
 * whose result another attempt still needs stay, and those of a batch that has not finished, which are counted.
 */
export const deleteFinished = (table: string, status: FinishedStatus): Statement => ({
  name: `${table}:delete-${status}`,
  text: `
    -- $1 retention period (ms)
    DELETE FROM "${table}" WHERE id = ANY (ARRAY(
      SELECT id FROM "${table}" AS attempt
      WHERE status = '${status}' AND completed_at < now() - (SELECT $1::float8) * interval '1 millisecond'
        AND NOT (has_dependents AND EXISTS (
          SELECT FROM "${table}" AS waiting
          WHERE waiting.after_ids @> ARRAY[attempt.id] AND waiting.after_ids <> '{}'
            AND waiting.status NOT IN ('succeeded', 'failed', 'expired', 'cancelled')
        ))
        AND NOT (batch_id IS NOT NULL AND EXISTS (
          SELECT FROM async_batches WHERE async_batches.id = attempt.batch_id AND async_batches.finished_at IS NULL
        ))
      ORDER BY completed_at
      LIMIT ${RETENTION_BATCH}
      FOR UPDATE SKIP LOCKED
    ))
    RETURNING id`,
})

/** Whether a row runs, is due, has expired or is blocked, or a batch has not finished. */
export const mayNeedSweep = (table: string): string => `
  EXISTS (SELECT FROM "${table}" WHERE status = 'running')
  OR EXISTS (SELECT FROM "${table}" WHERE status = 'pending' AND scheduled_at <= now())
  OR EXISTS (SELECT FROM "${table}" WHERE status = 'pending' AND expires_at <= now())
  OR EXISTS (SELECT FROM "${table}" WHERE status = 'blocked')
  OR EXISTS (SELECT FROM async_batches WHERE finished_at IS NULL)`

/** Ends pending and blocked attempts that have expired. Locked rows wait for the next sweep. */
export const expireOverdue = (table: string): Statement => ({
  name: `${table}:expire-overdue`,
  text: `
    UPDATE "${table}" SET status = 'expired', completed_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE id = ANY (ARRAY(
      SELECT id FROM "${table}"
      WHERE status = 'pending' AND expires_at <= now()
      ORDER BY expires_at
      LIMIT $1
      FOR NO KEY UPDATE SKIP LOCKED
    ) || ARRAY(
      SELECT id FROM "${table}"
      WHERE status = 'blocked' AND expires_at <= now()
      ORDER BY expires_at
      LIMIT $1
      FOR NO KEY UPDATE SKIP LOCKED
    ))
    RETURNING id`,
})

/** Deletes the oldest errors of pending attempts. */
export const trimErrors = (table: string): Statement => ({
  name: `${table}:trim-errors`,
  text: `
    -- $1 how many errors to keep
    UPDATE "${table}" SET errors = jsonb_path_query_array(errors, 'strict $[last - $kept to last]', jsonb_build_object('kept', $1::int - 1))
    WHERE id = ANY (ARRAY(
      SELECT id FROM "${table}"
      WHERE status = 'pending' AND num_attempts > $1
        AND CASE WHEN jsonb_typeof(errors) = 'array' THEN jsonb_array_length(errors) > $1 END
      LIMIT ${RETENTION_BATCH}
      FOR UPDATE SKIP LOCKED
    ))
    RETURNING id`,
})

/**
 * Infinite times, in rows that were written by hand, have no age. Each count has a partial index, so finished rows cost nothing here. Calls
 * with a limit wait for it: that they have been due for long says nothing about the workers.
 */
export const attemptStatistics = (table: string): Statement => ({
  name: `${table}:statistics`,
  text: `
    SELECT waiting.due, waiting."oldestDue", limited.limited, blocked.blocked, running.running, failed.failed
    FROM
      (
        SELECT
          count(*)::int AS due,
          coalesce(extract(epoch FROM clock_timestamp() - min(scheduled_at) FILTER (WHERE isfinite(scheduled_at))), 0)::float8 AS "oldestDue"
        FROM "${table}" WHERE status = 'pending' AND limit_key IS NULL AND scheduled_at <= now()
      ) AS waiting,
      (SELECT count(*)::int AS limited FROM "${table}" WHERE status = 'pending' AND limit_key IS NOT NULL AND scheduled_at <= now()) AS limited,
      (SELECT count(*)::int AS blocked FROM "${table}" WHERE status = 'blocked') AS blocked,
      (SELECT count(*)::int AS running FROM "${table}" WHERE status = 'running') AS running,
      (SELECT count(*)::int AS failed FROM "${table}" WHERE status = 'failed') AS failed`,
})
