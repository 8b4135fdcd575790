import { setTimeout as sleep } from 'node:timers/promises'
import type { Query, Statement } from '../core/statement.js'
import type { RetentionPeriods } from '../core/swept-table.js'

/** How many rows one statement touches. A large backlog takes many short statements. */
const BATCH = 1000

/** The pause between two batches, in milliseconds, so that other statements get their turn. */
const PAUSE_BETWEEN_BATCHES = 50

/** How many errors a pending attempt keeps: the latest ones. */
const MAX_ERRORS = 25

/** Deletes finished attempts after their retention period, and the oldest errors of pending ones. Returns how many attempts were deleted. */
export async function pruneAttempts(
  query: Query,
  table: string,
  { succeeded, ended }: RetentionPeriods,
  stop?: AbortSignal,
): Promise<number> {
  const inBatches = (statement: Statement, values: unknown[]) => runInBatches(query, statement, values, stop)
  let deleted = 0
  if (succeeded !== false) deleted += await inBatches(deleteFinished(table), [['succeeded'], succeeded])
  if (ended !== false) deleted += await inBatches(deleteFinished(table), [['failed', 'expired', 'cancelled'], ended])
  await inBatches(trimErrors(table), [MAX_ERRORS])
  return deleted
}

async function runInBatches(
  query: Query,
  statement: Statement,
  values: unknown[],
  stop?: AbortSignal,
): Promise<number> {
  let total = 0
  while (!stop?.aborted) {
    const rows = await query(statement, [...values, BATCH])
    total += rows.length
    if (rows.length < BATCH) break
    await sleep(PAUSE_BETWEEN_BATCHES)
  }
  return total
}

const deleteFinished = (table: string): Statement => ({
  name: `${table}:delete-finished`,
  text: `
    -- $1 statuses, $2 retention period (ms), $3 batch size
    DELETE FROM "${table}" WHERE id IN (
      SELECT id FROM "${table}"
      WHERE completed_at < now() - $2 * interval '1 millisecond' AND status::text = ANY ($1::text[])
      ORDER BY completed_at
      LIMIT $3
      FOR UPDATE SKIP LOCKED
    )
    RETURNING id`,
})

const trimErrors = (table: string): Statement => ({
  name: `${table}:trim-errors`,
  text: `
    UPDATE "${table}" SET errors = jsonb_path_query_array(errors, 'strict $[last - $kept to last]', jsonb_build_object('kept', $1::int - 1))
    WHERE id IN (
      SELECT id FROM "${table}"
      WHERE status = 'pending' AND num_attempts > $1
        AND CASE WHEN jsonb_typeof(errors) = 'array' THEN jsonb_array_length(errors) > $1 END
      LIMIT $2
      FOR UPDATE SKIP LOCKED
    )
    RETURNING id`,
})

/** Infinite times, in rows that were written by hand, have no age. Each count has a partial index, so finished rows cost nothing here. */
export const attemptStatistics = (table: string): Statement => ({
  name: `${table}:statistics`,
  text: `
    SELECT waiting.due, waiting."oldestDue", running.running, failed.failed
    FROM
      (
        SELECT
          count(*)::int AS due,
          coalesce(extract(epoch FROM clock_timestamp() - min(scheduled_at) FILTER (WHERE isfinite(scheduled_at))), 0)::float8 AS "oldestDue"
        FROM "${table}" WHERE status = 'pending' AND scheduled_at <= now()
      ) AS waiting,
      (SELECT count(*)::int AS running FROM "${table}" WHERE status = 'running') AS running,
      (SELECT count(*)::int AS failed FROM "${table}" WHERE status = 'failed') AS failed`,
})
