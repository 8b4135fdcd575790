import type { Statement } from '../../core/statement.js'
import { cut } from './cut.js'

const columns = `attempt.id::text, ${cut('attempt.target', 200)} AS target, ${cut('attempt.method', 200)} AS method, attempt.status::text`

/** The attempts that one waits, or has waited, for, in their order. Those that were deleted have no target. */
export const predecessorsStatement = (table: string): Statement => ({
  name: `${table}:dashboard-predecessors`,
  text: `
    -- $1 id, $2 how many
    SELECT wanted.id::text, ${cut('attempt.target', 200)} AS target, ${cut('attempt.method', 200)} AS method, attempt.status::text
    FROM "${table}" AS waiting, unnest(waiting.after_ids) WITH ORDINALITY AS wanted (id, position)
    LEFT JOIN "${table}" AS attempt ON attempt.id = wanted.id
    WHERE waiting.id = $1::bigint
    ORDER BY attempt.status IN ('succeeded') IS TRUE, wanted.position
    LIMIT $2`,
})

/** The attempts that wait, or have waited, for one: some of them, if they are many. */
export const dependentsStatement = (table: string): Statement => ({
  name: `${table}:dashboard-dependents`,
  text: `
    -- $1 id, $2 how many to look at, $3 how many to return
    SELECT ${columns}, count(*) OVER ()::int AS total
    FROM (
      SELECT * FROM "${table}" WHERE after_ids @> ARRAY[$1::bigint] AND after_ids <> '{}' LIMIT $2
    ) AS attempt
    ORDER BY attempt.status <> 'blocked', attempt.id
    LIMIT $3`,
})

/** The newest batches, and how many of their calls have not ended, as far as they are counted. */
export const batchesStatement = (table: string): Statement => ({
  name: `${table}:dashboard-batches`,
  text: `
    -- $1 model, $2 id of the last batch of the page before, or null, $3 how many, $4 how many calls to count
    SELECT
      batch.id::text, batch.then_id::text AS "thenId", batch.created_at AS "createdAt", batch.cancelled_at AS "cancelledAt",
      batch.finished_at AS "finishedAt", calls.open, (
        SELECT jsonb_build_object('target', ${cut('follows.target', 200)}, 'method', ${cut('follows.method', 200)}, 'status', follows.status)
        FROM "${table}" AS follows
        WHERE follows.id = batch.then_id
      ) AS follows
    FROM (
      SELECT * FROM async_batches WHERE model = $1 AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
    ) AS batch, LATERAL (
      SELECT count(*)::int AS open
      FROM (
        SELECT FROM "${table}" AS attempt
        WHERE batch.finished_at IS NULL AND attempt.batch_id = batch.id AND attempt.id IS DISTINCT FROM batch.then_id
          AND attempt.status IN ('pending', 'running', 'blocked')
        LIMIT $4
      ) AS counted
    ) AS calls
    ORDER BY batch.id DESC`,
})

/** The calls of a batch, those first that have not ended. */
export const batchCallsStatement = (table: string): Statement => ({
  name: `${table}:dashboard-batch-calls`,
  text: `
    -- $1 batch, $2 the call that follows, or null, $3 how many
    (
      SELECT ${columns} FROM "${table}" AS attempt
      WHERE batch_id = $1::bigint AND id IS DISTINCT FROM $2::bigint AND status IN ('pending', 'running', 'blocked')
      LIMIT $3
    )
    UNION ALL
    (
      SELECT ${columns} FROM "${table}" AS attempt
      WHERE batch_id = $1::bigint AND id IS DISTINCT FROM $2::bigint AND status IN ('failed', 'expired', 'cancelled', 'succeeded')
      ORDER BY status DESC
      LIMIT $3
    )
    LIMIT $3`,
})
