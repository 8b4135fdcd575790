import type { Statement } from '../../core/statement.js'
import { jobSpec } from './job-spec.js'
import { isPaused } from './startable.js'

/**
 * Enqueues a page of rows that are due and have no job, the longest due first. A job that has been locked for a minute while its row is
 * still pending counts as lost: its worker died, or never got the answer to its fetch. If a worker had only fetched it ahead, the second
 * job finds nothing to do.
 */
export const enqueueDueStatement = (table: string): Statement => ({
  name: `${table}:enqueue-due`,
  text: `
    -- $1 task, $2 time and $3 id of the last row of the page before, $4 limit, $5 model
    WITH due AS MATERIALIZED (
      SELECT id, scheduled_at, priority
      FROM "${table}" AS attempt
      WHERE status = 'pending' AND scheduled_at <= now() AND (scheduled_at, id) > ($2::timestamptz, $3::bigint)
        AND (expires_at IS NULL OR expires_at > now())
        AND NOT ${isPaused('attempt', '$5')}
      ORDER BY scheduled_at, id
      LIMIT $4
    ), without_job AS MATERIALIZED (
      SELECT * FROM due
      WHERE NOT EXISTS (
        SELECT FROM graphile_worker.jobs
        WHERE key = $1 || ':' || due.id AND attempts < max_attempts
          AND (locked_at IS NULL OR locked_at > now() - interval '1 minute')
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
    LIMIT 1`,
})
