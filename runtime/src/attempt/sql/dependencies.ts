import type { Statement } from '../../core/statement.js'

/** The statements on attempts that wait for others. Triggers of the table do the rest: see the migration. */
export const dependencyStatements = (table: string) =>
  ({
    existing: {
      name: `${table}:existing`,
      text: `SELECT id FROM "${table}" WHERE id = ANY ($1::bigint[])`,
    },

    byIds: {
      name: `${table}:by-ids`,
      text: `SELECT * FROM "${table}" WHERE id = ANY ($1::bigint[])`,
    },

    // The first of those that a blocked row still waits for.
    waitsFor: {
      name: `${table}:waits-for`,
      text: `
      SELECT earlier.id, earlier.target, earlier.method, earlier.status::text AS status
      FROM "${table}" AS blocked, unnest(blocked.after_ids) WITH ORDINALITY AS wanted (id, position)
      JOIN "${table}" AS earlier ON earlier.id = wanted.id
      WHERE blocked.id = $1 AND ${isUnmet}
      ORDER BY wanted.position
      LIMIT 5`,
    },

    dependents: {
      name: `${table}:dependents`,
      text: `
      SELECT * FROM "${table}"
      WHERE after_ids @> ARRAY[$1::bigint] AND after_ids <> '{}'
      ORDER BY id
      LIMIT $2`,
    },

    // Triggers unblock a row in the transaction that ends the last call it waits for. They do not fire if they were disabled, or if
    // row-level security hid the row from their owner.
    lost: {
      name: `${table}:lost`,
      text: `
      -- $1 id of the last row of the page before, $2 limit
      WITH page AS MATERIALIZED (
        SELECT id, after_ids, if_failed, waived_ids, batch_id FROM "${table}"
        WHERE status = 'blocked' AND id > $1
        ORDER BY id
        LIMIT $2
      ), judged AS (
        SELECT
          blocked.id,
          CASE WHEN blocked.after_ids <> '{}' THEN EXISTS (
            SELECT FROM unnest(blocked.after_ids) AS wanted (id) JOIN "${table}" AS earlier ON earlier.id = wanted.id
            WHERE ${isUnmet}
          ) ELSE EXISTS (
            SELECT FROM async_batches
            WHERE async_batches.id = blocked.batch_id AND async_batches.then_id = blocked.id AND async_batches.finished_at IS NULL
          ) END AS waits,
          CASE WHEN coalesce(blocked.if_failed, 'cancel') = 'cancel' THEN (
            SELECT earlier.id
            FROM unnest(blocked.after_ids) AS wanted (id) JOIN "${table}" AS earlier ON earlier.id = wanted.id
            WHERE earlier.status IN ('failed', 'expired', 'cancelled') AND ${isNotWaived('blocked')}
            LIMIT 1
          ) END AS failed
        FROM page AS blocked
      )
      SELECT
        ARRAY(SELECT id FROM judged WHERE NOT waits ORDER BY id)::text AS free,
        ARRAY(SELECT DISTINCT failed FROM judged WHERE failed IS NOT NULL ORDER BY 1)::text AS failed,
        (SELECT max(id) FROM page) AS last,
        (SELECT count(*)::int FROM page) AS seen`,
    },

    // A row that waits for others is looked at again, under its lock. The others follow a batch that has finished or is gone.
    unblock: {
      name: `${table}:unblock`,
      text: `
      WITH following AS (
        UPDATE "${table}" AS attempt SET status = 'pending', updated_at = clock_timestamp()
        WHERE id = ANY ($1::bigint[]) AND status = 'blocked' AND coalesce(after_ids, '{}') = '{}'
        RETURNING id
      )
      SELECT count(*)::int AS following, "${table}_unblock"($1::bigint[])::text FROM following`,
    },

    // The trigger cancels those that wait for the cancelled rows.
    cancelDependents: {
      name: `${table}:cancel-dependents`,
      text: `
      UPDATE "${table}" AS attempt SET
        status = 'cancelled',
        completed_at = clock_timestamp(),
        updated_at = clock_timestamp(),
        errors = CASE WHEN jsonb_typeof(attempt.errors) = 'array' THEN attempt.errors ELSE '[]' END || "${table}_predecessor_error"(
          attempt.num_attempts, earlier.id, earlier.target, earlier.method, earlier.status::text
        )
      FROM "${table}" AS earlier
      WHERE earlier.id = ANY ($1::bigint[]) AND earlier.status IN ('failed', 'expired', 'cancelled')
        AND attempt.after_ids @> ARRAY[earlier.id] AND attempt.after_ids <> '{}'
        AND attempt.status = 'blocked' AND coalesce(attempt.if_failed, 'cancel') = 'cancel' AND ${isNotWaived('attempt')}
      RETURNING attempt.id`,
    },
  }) satisfies Record<string, Statement>

/** The condition that the failure of a row still matters to one that waits for it: see the column in the migration. */
function isNotWaived(waiting: string): string {
  return `earlier.id <> ALL (coalesce(${waiting}.waived_ids, '{}'))`
}

/** The condition that a row which another one waits for has not ended as that one needs it. A row that is gone is no reason to wait. */
const isUnmet = `earlier.status <> 'succeeded'
            AND (blocked.if_failed IS DISTINCT FROM 'run' OR earlier.status NOT IN ('failed', 'expired', 'cancelled'))
            AND ${isNotWaived('blocked')}`
