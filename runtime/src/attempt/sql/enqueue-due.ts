import type { Statement } from '../../core/statement.js'
import { jobSpec, oneOfEachKey } from './job-spec.js'
import { hasPause, isPaused, isResumed } from './startable.js'

/**
 * Enqueues a page of rows that are due and have no job, the longest due first. A job that has been locked for a minute while its row is
 * still pending counts as lost: its worker died, or never got the answer to its fetch. If a worker had only fetched it ahead, the second
 * job finds nothing to do. Rows with a pause are left out, also after it has ended: those are enqueued by `enqueueResumedStatement`. So are rows
 * of a limit, which wait without a job: see `limitStatements`.
 */
export const enqueueDueStatement = (table: string): Statement => ({
  name: `${table}:enqueue-due`,
  text: `
    -- $1 task, $2 time and $3 id of the last row of the page before, $4 limit, $5 model
    WITH due AS MATERIALIZED (
      SELECT id, scheduled_at, priority, limit_key
      FROM "${table}" AS attempt
      WHERE status = 'pending' AND scheduled_at <= now() AND (scheduled_at, id) > ($2::timestamptz, $3::bigint)
        AND limit_key IS NULL
        AND (expires_at IS NULL OR expires_at > now())
        AND NOT ${hasPause('attempt', '$5')}
      ORDER BY scheduled_at, id
      LIMIT $4
    )${enqueued("locked_at IS NULL OR locked_at > now() - interval '1 minute'")}`,
})

/** The rows whose pause has ended, in the order of the queue. */
export const resumedStatement = (table: string): Statement => ({
  name: `${table}:resumed`,
  text: `
    -- $1 model, $2 negative priority, $3 time and $4 id of the last row of the page before, $5 limit
    WITH resumed AS (
      SELECT id, -priority::bigint AS position, scheduled_at
      FROM "${table}" AS attempt
      WHERE status = 'pending' AND scheduled_at <= now() AND (-priority::bigint, scheduled_at, id) > ($2::bigint, $3::timestamptz, $4::bigint)
        AND ${isResumed('attempt', '$1')}
        AND NOT ${isPaused('attempt', '$1')}
      ORDER BY position, scheduled_at, id
      LIMIT $5
    ), last AS (
      SELECT * FROM resumed ORDER BY position DESC, scheduled_at DESC, id DESC LIMIT 1
    )
    SELECT
      (SELECT array_agg(id ORDER BY position, scheduled_at, id) FROM resumed) AS ids,
      position,
      to_json(scheduled_at) #>> '{}' AS "scheduledAt",
      id
    FROM last`,
})

/** Enqueues those of a page of resumed rows that have no job. A locked job counts as lost: its worker may have found the row paused. */
export const enqueueResumedStatement = (table: string): Statement => ({
  name: `${table}:enqueue-resumed`,
  text: `
    -- $1 task, $2 ids, $3 model
    WITH resumed AS MATERIALIZED (
      SELECT id, scheduled_at, priority, limit_key
      FROM "${table}" AS attempt
      WHERE id = ANY ($2::bigint[]) AND status::text = 'pending' AND scheduled_at <= now()
        AND (expires_at IS NULL OR expires_at > now())
        AND NOT ${isPaused('attempt', '$3')}
    ), due AS MATERIALIZED (${oneOfEachKey('resumed')}
    )${enqueued('locked_at IS NULL')}`,
})

/**
 * Adds a job for each row of `due` that has none, and returns the last row of the page.
 * @param isAlive the condition that a job is not lost
 */
const enqueued = (isAlive: string) => `, without_job AS MATERIALIZED (
      SELECT * FROM due
      WHERE NOT EXISTS (
        SELECT FROM graphile_worker.jobs
        WHERE key = $1 || ':' || due.id AND attempts < max_attempts
          AND (${isAlive})
      )
    ), enqueued AS (
      SELECT
      FROM (
        SELECT array_agg(${jobSpec('$1')} ORDER BY priority DESC, scheduled_at, id) AS jobs
        FROM without_job
        HAVING count(*) > 0
      ) AS page, graphile_worker.add_jobs(page.jobs)
    )
    SELECT
      (SELECT count(*)::int FROM enqueued) AS enqueued,
      (SELECT count(*)::int FROM due) AS seen,
      to_json(scheduled_at) #>> '{}' AS "scheduledAt",
      id
    FROM due
    ORDER BY due.scheduled_at DESC, id DESC
    LIMIT 1`
