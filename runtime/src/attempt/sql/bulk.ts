import { LAST_INTEGER } from './rows.js'
import { type Bound, type BulkFilter, conditionsById } from './select.js'

export type BulkOperation = 'cancel' | 'expire' | 'reschedule' | 'retry'

/** What a batch has changed. */
export interface BatchResult {
  changed: number
  /** The ids of rows that match and that other transactions have locked, as an array literal: `{7,12}`. */
  locked: string
}

/**
 * Changes the rows of one batch that still match the filter. Locked rows are skipped.
 *
 * @param ids an array literal: `{7,12}`
 * @param scheduledAt for `reschedule`
 */
export function bulkStatement(
  table: string,
  operation: BulkOperation,
  filter: BulkFilter,
  ids: string,
  scheduledAt?: Date,
): Bound {
  const values: unknown[] = operation === 'reschedule' ? [ids, scheduledAt] : [ids]
  const where = `id = ANY ($1::bigint[]) AND ${conditionsById(table, filter, values)}`
  const text = `
    -- $1 ids, $2 time for reschedule; then the values of the filter
    WITH matching AS MATERIALIZED (
      SELECT id FROM "${table}" WHERE ${where}
    ), unlocked AS MATERIALIZED (
      SELECT id, status::text AS status_before FROM "${table}" WHERE ${where}
      ORDER BY id
      FOR NO KEY UPDATE SKIP LOCKED
    ), numbered AS (
      SELECT *, row_number() OVER (ORDER BY id) AS position FROM unlocked
    ), changed AS (
      UPDATE "${table}" AS attempt SET
        ${CHANGES[operation]},
        updated_at = clock_timestamp()
      FROM numbered
      WHERE attempt.id = numbered.id
      RETURNING attempt.id
    )
    SELECT
      (SELECT count(*)::int FROM changed) AS changed,
      ARRAY(SELECT id FROM matching EXCEPT SELECT id FROM changed ORDER BY id)::text AS locked
      ${operation === 'cancel' ? `, ${notifications(`$${values.push(table)}`)}` : ''}`
  return { statement: { name: `${table}:${operation}-all`, text, once: true, planned: 'each time' }, values }
}

const CHANGES: Record<BulkOperation, string> = {
  cancel: `
        status = 'cancelled',
        locked_by = NULL,
        completed_at = clock_timestamp()`,
  expire: `
        status = 'expired',
        completed_at = clock_timestamp()`,
  reschedule: `
        scheduled_at = $2::timestamptz`,
  // The calls of a batch keep their order: the queue has none among calls of the same time.
  retry: `
        status = 'pending',
        scheduled_at = clock_timestamp() + numbered.position * interval '1 microsecond',
        expires_at = CASE WHEN expires_at > clock_timestamp() THEN expires_at END,
        max_attempts = greatest(max_attempts, least(num_attempts, ${LAST_INTEGER - 1}) + 1),
        progress = NULL,
        progress_message = NULL,
        completed_at = NULL`,
}

/**
 * The workers that run the calls of cancelled rows abort their signals.
 * @param table the parameter with the name of the table
 */
function notifications(table: string): string {
  return `(
        SELECT count(*)
        FROM changed JOIN unlocked USING (id), pg_notify('async-gen:cancelled', ${table}::text || '/' || id)
        WHERE status_before = 'running'
      ) AS notified`
}
