import { livingWorkers } from '../../core/living-workers.js'
import type { Statement } from '../../core/statement.js'
import { isStartable } from './startable.js'

/** The largest number of a column of type integer. */
const LAST_INTEGER = 2_147_483_647

/** The statements that claim runs and end them. */
export const runStatements = (table: string) =>
  ({
    claim: claimStatement(table, `${table}:claim`, ''),

    // The same, without the methods that have a limit per key ($4, such as 'Shopify.push').
    claimUnlimited: claimStatement(
      table,
      `${table}:claim-unlimited`,
      "AND (target || '.' || method) <> ALL ($4::text[])",
    ),

    // The rows that a claim took although its answer was lost.
    claimed: {
      name: `${table}:claimed`,
      text: `
      -- $1 ids, $2 worker
      SELECT * FROM "${table}" WHERE id = ANY ($1::bigint[]) AND locked_by = $2 AND status::text = 'running'`,
    },

    isStartable: {
      name: `${table}:is-startable`,
      text: `SELECT FROM "${table}" AS attempt WHERE id = $1 AND ${isStartable('attempt', '$2')}`,
    },

    succeed: {
      name: `${table}:succeed`,
      longRetry: true,
      text: `
      -- $1 id, $2 run number, $3 worker, $4 result
      UPDATE "${table}" SET
        status = 'succeeded',
        result = $4::text::jsonb,
        locked_by = NULL,
        completed_at = clock_timestamp(),
        updated_at = clock_timestamp()
      WHERE id = $1::bigint AND num_attempts = $2::int AND locked_by = $3::int AND status::text = 'running'
      RETURNING id`,
    },

    // The same for many runs, of one batch or of none. Rows that are locked, or that another transaction changes at this moment, are left
    // out. So are those that others wait for: their triggers lock other rows, and two statements that lock several in different orders
    // would deadlock.
    succeedTogether: {
      name: `${table}:succeed-together`,
      padded: 'with nulls',
      text: `
      -- $1 ids, $2 run numbers, $3 workers, $4 results
      WITH run AS (
        SELECT attempt.ctid, attempt.id, run.result
        FROM unnest($1::bigint[], $2::int[], $3::int[], $4::text[]) AS run (id, number, worker, result)
        JOIN "${table}" AS attempt ON attempt.id = run.id
        WHERE attempt.num_attempts = run.number AND attempt.locked_by = run.worker AND attempt.status::text = 'running'
          AND NOT attempt.has_dependents
        FOR NO KEY UPDATE OF attempt SKIP LOCKED
      )
      UPDATE "${table}" AS attempt SET
        status = 'succeeded',
        result = run.result::jsonb,
        locked_by = NULL,
        completed_at = clock_timestamp(),
        updated_at = clock_timestamp()
      FROM run
      WHERE attempt.ctid = run.ctid AND attempt.id = run.id
      RETURNING attempt.id`,
    },

    // The run is not counted.
    snooze: {
      name: `${table}:snooze`,
      longRetry: true,
      text: `
      -- $1 id, $2 run number, $3 worker, $4 delay in milliseconds, $5 the number of snoozes with this one
      UPDATE "${table}" SET
        status = 'pending',
        num_attempts = num_attempts - 1,
        snoozes = least($5::bigint, ${LAST_INTEGER}),
        scheduled_at = clock_timestamp() + $4::float8 * interval '1 millisecond',
        locked_by = NULL,
        updated_at = clock_timestamp()
      WHERE id = $1::bigint AND num_attempts = $2::int AND locked_by = $3::int AND status::text = 'running'
      RETURNING id`,
    },

    // Waits for a transaction of the run that may be about to commit.
    hasEnded: {
      name: `${table}:has-ended`,
      text: `
      -- $1 id, $2 run number
      SELECT status::text = 'succeeded' AND num_attempts = $2 AS succeeded, snoozes
      FROM "${table}" WHERE id = $1
      FOR NO KEY UPDATE`,
    },

    wasChangedWithin: {
      name: `${table}:was-changed-within`,
      text: `
      SELECT id FROM "${table}"
      WHERE id = $1 AND status::text <> 'running' AND xmin = pg_current_xact_id()::xid`,
    },

    // A locked row is skipped: the call itself may have locked it in its transaction, and would wait for ever.
    storeProgress: {
      name: `${table}:store-progress`,
      text: `
      -- $1 id, $2 run number, $3 worker, $4 progress, $5 message
      UPDATE "${table}" SET progress = $4::float8, progress_message = $5, updated_at = clock_timestamp()
      WHERE id = (
        SELECT id FROM "${table}"
        WHERE id = $1 AND num_attempts = $2 AND locked_by = $3 AND status::text = 'running'
        FOR NO KEY UPDATE SKIP LOCKED
      )`,
    },

    // An interrupted run, whose delay is 0, keeps its time and so its place in the queue.
    fail: {
      name: `${table}:fail`,
      longRetry: true,
      text: `
      -- $1 id, $2 run number, $3 worker, $4 error or null, $5 delay in milliseconds, null for no further run
      UPDATE "${table}" SET
        status = CASE WHEN $5::float8 IS NULL THEN 'failed' WHEN $5 IS NOT NULL THEN 'pending' ELSE status END,
        scheduled_at = CASE WHEN $5 > 0 THEN clock_timestamp() + $5 * interval '1 millisecond' ELSE scheduled_at END,
        completed_at = CASE WHEN $5 IS NULL THEN clock_timestamp() END,
        errors = ${errorsWithNew},
        locked_by = NULL,
        updated_at = clock_timestamp()
      WHERE id = $1 AND num_attempts = $2 AND locked_by = $3 AND status::text = 'running'
      RETURNING *`,
    },

    // Ends a run as a hook has decided.
    endRun: {
      name: `${table}:end-run`,
      longRetry: true,
      text: `
      -- $1 id, $2 run number, $3 worker, $4 error or null, $5 status, $6 delay in milliseconds, null for no further run
      UPDATE "${table}" SET
        status = $5,
        scheduled_at = coalesce(clock_timestamp() + $6::float8 * interval '1 millisecond', scheduled_at),
        max_attempts = CASE WHEN $6 IS NULL THEN max_attempts ELSE greatest(max_attempts, num_attempts + 1) END,
        completed_at = CASE WHEN $6 IS NULL THEN clock_timestamp() END,
        errors = ${errorsWithNew},
        locked_by = NULL,
        updated_at = clock_timestamp()
      WHERE id = $1 AND num_attempts = $2 AND locked_by = $3 AND status::text = 'running'
      RETURNING *`,
    },

    // The run is not counted. Runs that this process is still running ($4, $5) are left alone.
    release: {
      name: `${table}:release`,
      longRetry: true,
      text: `
      -- $1 ids, $2 worker, $3 delay in milliseconds, $4 running ids, $5 their run numbers
      UPDATE "${table}" SET
        status = 'pending',
        num_attempts = num_attempts - 1,
        scheduled_at = CASE WHEN $3::float8 > 0 THEN clock_timestamp() + $3 * interval '1 millisecond' ELSE scheduled_at END,
        locked_by = NULL,
        updated_at = clock_timestamp()
      WHERE id IN (
        SELECT id FROM "${table}"
        WHERE id = ANY ($1::bigint[]) AND locked_by = $2 AND status::text = 'running'
          AND (id, num_attempts) NOT IN (SELECT * FROM unnest($4::bigint[], $5::int[]))
        FOR NO KEY UPDATE SKIP LOCKED
      )
      RETURNING id`,
    },

    // Takes runs back: those of dead workers; those without a worker, whose status was set by hand; and those that this process has
    // claimed but is not running, because it could not store how they ended. The answer to a claim takes far less than a minute.
    // Locked rows are skipped until the next sweep: the lock may be that of the statement that ends the run.
    // A rescued call keeps its time, and so its place in the queue.
    rescue: {
      name: `${table}:rescue`,
      text: `
      -- $1 worker of this process, $2 ids that it is running, $3 their run numbers, $4 limit
      WITH lost AS (
        SELECT id FROM "${table}"
        WHERE status = 'running' AND (
          locked_by IS NULL
          OR locked_by NOT IN (${livingWorkers})
          OR (
            locked_by = $1
            AND (started_at BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp() + interval '1 minute') IS NOT TRUE
            AND (id, num_attempts) NOT IN (SELECT * FROM unnest($2::bigint[], $3::int[]))
          )
        )
        LIMIT $4
        FOR NO KEY UPDATE SKIP LOCKED
      )
      UPDATE "${table}" AS attempt SET
        status = CASE
          WHEN num_attempts < max_attempts THEN 'pending'
          WHEN num_attempts >= max_attempts THEN 'failed'
          ELSE status
        END,
        completed_at = CASE WHEN num_attempts < max_attempts THEN NULL ELSE clock_timestamp() END,
        scheduled_at = least(scheduled_at, clock_timestamp()),
        errors = CASE WHEN jsonb_typeof(errors) = 'array' THEN errors ELSE '[]' END || jsonb_build_object(
          'number', num_attempts,
          'at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
          'elapsed', coalesce(extract(epoch FROM clock_timestamp() - CASE WHEN isfinite(started_at) THEN started_at END), 0),
          'worker', locked_by,
          'name', 'WorkerDied',
          'message', 'The worker ended, or lost the database, before it could store how the call ended.'
        ),
        locked_by = NULL,
        updated_at = clock_timestamp()
      FROM lost
      WHERE attempt.id = lost.id
      RETURNING attempt.id`,
    },
  }) satisfies Record<string, Statement>

/**
 * What a claim writes. It also repairs rows that were written by hand: a row whose runs cannot be counted any further fails, and errors
 * that are no list become one. $2 is the worker.
 *
 * @param now the time of the claim
 */
export function claimedRow(now = 'clock_timestamp()'): string {
  return `
        status = CASE
          WHEN num_attempts < ${LAST_INTEGER} THEN 'running'
          WHEN num_attempts = ${LAST_INTEGER} THEN 'failed'
          ELSE status
        END,
        num_attempts = greatest(least(num_attempts, ${LAST_INTEGER - 1}), -1) + 1,
        locked_by = CASE WHEN num_attempts < ${LAST_INTEGER} THEN $2::int END,
        started_at = ${now},
        completed_at = CASE WHEN num_attempts = ${LAST_INTEGER} THEN clock_timestamp() END,
        errors = CASE
          WHEN num_attempts = ${LAST_INTEGER} THEN ${errorsWith('TooManyRuns', `'num_attempts is ${LAST_INTEGER}: further runs cannot be counted.'`)}
          WHEN jsonb_typeof(errors) <> 'array' THEN ${errorsWith('InvalidErrors', `'The column errors held no list, but: ' || left(errors::text, 1000)`)}
          ELSE errors
        END,
        progress = NULL,
        progress_message = NULL,
        updated_at = clock_timestamp()`
}

// The status is compared as text: compared as an enum, the planner could choose the index of all due rows instead of the ids.
// Locked rows are skipped, so that one locked row does not delay the others. The others are changed by their place in the table (ctid):
// to look for them again by their ids costs more. A row that another transaction changes at this moment has a new place, and counts as
// locked.
const claimStatement = (table: string, name: string, condition: string): Statement => ({
  name,
  once: true,
  padded: 'with the first item',
  text: `
      -- $1 ids, $2 worker, $3 model
      UPDATE "${table}" SET ${claimedRow()}
      WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM "${table}" AS attempt
        WHERE id = ANY ($1::bigint[]) AND ${isStartable('attempt', '$3')} ${condition}
        FOR NO KEY UPDATE SKIP LOCKED
      )) AND id = ANY ($1)
      RETURNING *`,
})

/** The column errors, made a list if it is none, and one more error. */
function errorsWith(name: string, message: string): string {
  return `
            CASE WHEN jsonb_typeof(errors) = 'array' THEN errors ELSE '[]' END || jsonb_build_object(
              'number', num_attempts,
              'at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
              'elapsed', 0,
              'worker', $2::int,
              'name', '${name}',
              'message', ${message}
            )`
}

/** The column errors with one more error ($4), unless that is null. The database adds the time. */
const errorsWithNew = `errors || CASE
          WHEN $4::jsonb IS NULL THEN '[]'
          ELSE jsonb_build_object(
            'at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
          ) || $4::jsonb
          END`
