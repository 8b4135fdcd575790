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
