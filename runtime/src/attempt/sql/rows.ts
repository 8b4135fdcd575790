import type { Statement } from '../../core/statement.js'

/** The largest number of a column of type integer. */
const LAST_INTEGER = 2_147_483_647

/** The statements that read rows and change rows that no run owns. */
export const rowStatements = (table: string) =>
  ({
    reserveIds: {
      name: `${table}:reserve-ids`,
      text: `
      -- $1 table, $2 how many
      SELECT nextval(pg_get_serial_sequence(quote_ident($1), 'id'))::text AS id
      FROM generate_series(1, $2::int)`,
    },

    find: {
      name: `${table}:find`,
      text: `SELECT * FROM "${table}" WHERE id = $1 AND ($2::text[] IS NULL OR type = ANY ($2))`,
    },

    select: {
      name: `${table}:select`,
      text: `
      -- $1 status, $2 target, $3 method, $4 idempotence token, $5 parent, $6 types; null for any; $7 limit
      SELECT * FROM "${table}"
      WHERE ($1::text IS NULL OR status::text = $1)
        AND ($2::text IS NULL OR target = $2)
        AND ($3::text IS NULL OR method = $3)
        AND ($4::text IS NULL OR idempotence_token = $4)
        AND ($5::bigint IS NULL OR parent_id = $5)
        AND ($6::text[] IS NULL OR type = ANY ($6))
      ORDER BY id DESC
      LIMIT $7`,
    },

    count: {
      name: `${table}:count`,
      text: `
      -- $1 status, $2 target, $3 method, $4 idempotence token, $5 parent, $6 types; null for any
      SELECT count(*) FROM "${table}"
      WHERE ($1::text IS NULL OR status::text = $1)
        AND ($2::text IS NULL OR target = $2)
        AND ($3::text IS NULL OR method = $3)
        AND ($4::text IS NULL OR idempotence_token = $4)
        AND ($5::bigint IS NULL OR parent_id = $5)
        AND ($6::text[] IS NULL OR type = ANY ($6))`,
    },

    end: {
      name: `${table}:end`,
      once: true,
      text: `
      -- $1 id, $2 status, $3 number of the last run, or null for any
      UPDATE "${table}" SET
        status = $2,
        completed_at = clock_timestamp(),
        updated_at = clock_timestamp()
      WHERE id = $1 AND status = 'pending' AND ($3::int IS NULL OR num_attempts = $3)
      RETURNING *`,
    },

    // The notification reaches the worker that runs the call.
    cancel: {
      name: `${table}:cancel`,
      once: true,
      text: `
      -- $1 id, $2 table
      WITH cancelled AS (
        UPDATE "${table}" SET
          status = 'cancelled',
          locked_by = NULL,
          completed_at = clock_timestamp(),
          updated_at = clock_timestamp()
        WHERE id = $1 AND status IN ('pending', 'running')
        RETURNING *
      )
      SELECT cancelled.*
      FROM cancelled, pg_notify('async-gen:cancelled', $2::text || '/' || id)`,
    },

    retry: {
      name: `${table}:retry`,
      once: true,
      text: `
      -- $1 id, $2 delay in milliseconds
      UPDATE "${table}" SET
        status = 'pending',
        scheduled_at = clock_timestamp() + $2::float8 * interval '1 millisecond',
        max_attempts = greatest(max_attempts, least(num_attempts, ${LAST_INTEGER - 1}) + 1),
        completed_at = NULL,
        updated_at = clock_timestamp()
      WHERE id = $1 AND status IN ('pending', 'failed', 'expired', 'cancelled')
      RETURNING *`,
    },
  }) satisfies Record<string, Statement>
