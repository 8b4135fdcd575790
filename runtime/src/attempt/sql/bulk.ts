import type { Statement } from '../../core/statement.js'
import { jobSpec, oneOfEachKey } from './job-spec.js'
import { LAST_INTEGER } from './rows.js'
import { type Bound, type BulkFilter, conditionsById, parameter } from './select.js'

export type BulkOperation = 'cancel' | 'expire' | 'fail' | 'reschedule' | 'retry'

/** What a batch has changed. */
export interface BatchResult {
  changed: number
  /** The ids of rows that match and that other transactions have locked, as an array literal: `{7,12}`. */
  locked: string
}

/** One bulk operation. */
export interface Bulk {
  operation: BulkOperation
  filter: BulkFilter
  /** The new time, for `reschedule`. */
  scheduledAt?: Date | undefined
  /** The Graphile Worker task of the rows, if the statement adds the jobs of a batch; otherwise a trigger adds a job for each row. */
  task?: string | undefined
}

/** Whether the role may add jobs. The trigger has the rights of its owner, so a role without them needs the trigger. */
export const canAddJobs: Statement = {
  name: 'async-gen:can-add-jobs',
  text: `
    SELECT CASE WHEN has_schema_privilege(to_regnamespace('graphile_worker')::oid, 'USAGE') THEN (
      SELECT NOT row_security_active(jobs) AND has_table_privilege(jobs, 'SELECT')
        AND has_table_privilege(jobs, 'INSERT') AND has_table_privilege(jobs, 'UPDATE')
      FROM CAST(to_regclass('graphile_worker._private_jobs') AS oid) AS jobs
    ) END AS allowed`,
}

/**
 * Changes the rows of one batch that still match the filter. Locked rows are skipped.
 * @param ids an array literal: `{7,12}`
 */
export function bulkStatement(table: string, { operation, filter, scheduledAt, task }: Bulk, ids: string): Bound {
  const values: unknown[] = operation === 'reschedule' ? [ids, scheduledAt] : [ids]
  const endsCalls = operation !== 'reschedule' && operation !== 'retry'
  const where = `id = ANY ($1::bigint[]) AND ${conditionsById(table, filter, values)}`
  const effects = [
    ...(operation === 'cancel' ? [`${notifications(parameter(table, values))} AS notified`] : []),
    ...(task === undefined ? [] : [`${jobs(parameter(task, values))} AS jobs`]),
  ]
  const text = `
    -- $1 ids, $2 time for reschedule; then the values of the filter
    WITH matching AS MATERIALIZED (
      SELECT id FROM "${table}" WHERE ${where}
    ), unlocked AS MATERIALIZED (
      SELECT id, status::text AS status_before${endsCalls ? ', batch_id, has_dependents' : ''} FROM "${table}"
      WHERE ${where}${task === undefined ? '' : ` AND ${noJobsByTrigger}`}
      FOR NO KEY UPDATE SKIP LOCKED
    )${endsCalls ? lockedByTriggers(table) : ''}, numbered AS (
      SELECT *, row_number() OVER (ORDER BY id) AS position FROM unlocked${endsCalls ? ' WHERE (SELECT count(*) FROM batches) >= 0' : ''}
    ), changed AS (
      UPDATE "${table}" AS attempt SET
        ${CHANGES[operation]},
        updated_at = clock_timestamp()
      FROM numbered
      WHERE attempt.id = numbered.id
      RETURNING attempt.id, attempt.scheduled_at, attempt.priority, attempt.limit_key
    )
    SELECT
      (SELECT count(*)::int FROM changed) AS changed,
      ARRAY(SELECT id FROM matching EXCEPT SELECT id FROM changed ORDER BY id)::text AS locked
      ${effects.map((effect) => `, ${effect}`).join('')}`
  return { statement: { name: `${table}:${operation}-all`, text, once: true, planned: 'each time' }, values }
}

/**
 * Locks the rows that the triggers will change, in one order: first the calls that wait for these, then their batches. Otherwise two
 * statements that end calls of the same batches would deadlock.
 */
function lockedByTriggers(table: string): string {
  return `, waiting AS MATERIALIZED (
      SELECT id FROM "${table}"
      WHERE status = 'blocked' AND after_ids && ARRAY(SELECT id FROM unlocked WHERE has_dependents) AND after_ids <> '{}'
      ORDER BY id
      FOR NO KEY UPDATE
    ), batches AS MATERIALIZED (
      SELECT id FROM async_batches
      WHERE id = ANY (ARRAY(SELECT batch_id FROM unlocked WHERE batch_id IS NOT NULL)) AND finished_at IS NULL
        AND (SELECT count(*) FROM waiting) >= 0
      ORDER BY id
      FOR NO KEY UPDATE
    )`
}

const CHANGES: Record<BulkOperation, string> = {
  cancel: `
        status = 'cancelled',
        locked_by = NULL,
        completed_at = clock_timestamp()`,
  expire: `
        status = 'expired',
        completed_at = clock_timestamp()`,
  fail: `
        status = 'failed',
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
      )`
}

/** A condition that is always true. It is checked first, and lasts until the end of the transaction. */
const noJobsByTrigger = `(SELECT set_config('async_gen.bulk', 'on', true)) IS NOT NULL`

/** Adds a job for each changed row; for those of a key, one job. */
function jobs(task: string): string {
  return `(
        SELECT count(*)
        FROM (
          SELECT array_agg(${jobSpec(`${task}::text`)} ORDER BY priority DESC, scheduled_at, id) AS specs
          FROM (${oneOfEachKey('changed')}) AS next
          HAVING count(*) > 0
        ) AS batch, graphile_worker.add_jobs(batch.specs)
      )`
}
