import type { Statement } from '../../core/statement.js'
import { RETENTION_BATCH } from './maintenance.js'

/** The statements on async_batches. Triggers of the table finish a batch: see the migration. */
export const batchStatements = (table: string) =>
  ({
    // A ciphertext is bound to the id of its row, and the batch names the call that follows it.
    reserveIds: {
      name: `${table}:reserve-batch-ids`,
      text: `
      SELECT
        nextval(pg_get_serial_sequence('async_batches', 'id'))::text AS batch,
        nextval(pg_get_serial_sequence(quote_ident($1), 'id'))::text AS following`,
    },

    find: {
      name: 'async-gen:find-batch',
      text: `
      SELECT
        id::text AS id, model, then_id::text AS "thenId", to_json(created_at) #>> '{}' AS "createdAt",
        to_json(cancelled_at) #>> '{}' AS "cancelledAt", to_json(finished_at) #>> '{}' AS "finishedAt"
      FROM async_batches
      WHERE id = $1::bigint AND model = $2`,
    },

    counts: {
      name: `${table}:batch-counts`,
      text: `
      SELECT attempt.status::text AS status, count(*)::int AS count
      FROM "${table}" AS attempt JOIN async_batches AS batch ON batch.id = attempt.batch_id
      WHERE attempt.batch_id = $1::bigint AND attempt.id IS DISTINCT FROM batch.then_id
      GROUP BY attempt.status`,
    },

    // The call that follows is cancelled in the same statement, so it cannot run after the batch was cancelled.
    cancel: {
      name: `${table}:cancel-batch`,
      text: `
      WITH batch AS (
        UPDATE async_batches SET cancelled_at = coalesce(cancelled_at, clock_timestamp()), changed_at = clock_timestamp()
        WHERE id = $1 AND model = $2 AND finished_at IS NULL
        RETURNING then_id
      )
      UPDATE "${table}" AS attempt SET
        status = 'cancelled',
        completed_at = clock_timestamp(),
        updated_at = clock_timestamp()
      FROM batch
      WHERE attempt.id = batch.then_id AND attempt.status = 'blocked'`,
    },

    finish: {
      name: `${table}:finish-batch`,
      text: `SELECT "${table}_finish_batch"($1::bigint)::text`,
    },

    // The triggers do not fire if they were disabled. SQL may record the calls of a new batch in a later transaction.
    finishLost: {
      name: `${table}:finish-lost-batches`,
      text: `
      -- $1 model, $2 id of the last batch of the page before, $3 limit
      WITH page AS MATERIALIZED (
        SELECT id, then_id, created_at FROM async_batches
        WHERE finished_at IS NULL AND model = $1 AND id > $2
        ORDER BY id
        LIMIT $3
      ), lost AS MATERIALIZED (
        SELECT id FROM page
        WHERE NOT EXISTS (
            SELECT FROM "${table}" AS attempt
            WHERE attempt.batch_id = page.id AND attempt.id IS DISTINCT FROM page.then_id
              AND attempt.status IN ('pending', 'running', 'blocked')
          )
          AND (
            created_at < now() - interval '1 minute'
            OR EXISTS (SELECT FROM "${table}" AS attempt WHERE attempt.batch_id = page.id AND attempt.id IS DISTINCT FROM page.then_id)
          )
      )
      SELECT
        (SELECT count("${table}_finish_batch"(id)::text)::int FROM lost) AS finished,
        (SELECT max(id) FROM page)::text AS last,
        (SELECT count(*)::int FROM page) AS seen`,
    },

    // LIMIT with a number, and (SELECT $2): see `Statement`.
    prune: {
      name: `${table}:prune-batches`,
      text: `
      DELETE FROM async_batches WHERE id = ANY (ARRAY(
        SELECT id FROM async_batches
        WHERE model = $1 AND finished_at < now() - (SELECT $2::float8) * interval '1 millisecond'
          AND NOT EXISTS (SELECT FROM "${table}" AS attempt WHERE attempt.batch_id = async_batches.id)
        LIMIT ${RETENTION_BATCH}
        FOR UPDATE SKIP LOCKED
      ))
      RETURNING id`,
    },
  }) satisfies Record<string, Statement>
