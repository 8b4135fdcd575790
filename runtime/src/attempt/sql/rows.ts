import type { Statement } from '../../core/statement.js'

/** The largest number of a column of type integer. */
export const LAST_INTEGER = 2_147_483_647

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

    end: {
      name: `${table}:end`,
      once: true,
      text: `
      -- $1 id, $2 status, $3 number of the last run, or null for any
      UPDATE "${table}" SET
        status = $2,
        completed_at = clock_timestamp(),
        updated_at = clock_timestamp()
      WHERE id = $1 AND status IN ('pending', 'blocked') AND ($3::int IS NULL OR num_attempts = $3)
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
        WHERE id = $1 AND status IN ('pending', 'blocked', 'running')
        RETURNING *
      )
      SELECT cancelled.*
      FROM cancelled, pg_notify('async-gen:cancelled', $2::text || '/' || id)`,
    },

    // A row whose expiry is over by the new time would never run again.
    retry: {
      name: `${table}:retry`,
      once: true,
      text: `
      -- $1 id, $2 delay in milliseconds
      UPDATE "${table}" SET
        status = 'pending',
        scheduled_at = clock_timestamp() + $2::float8 * interval '1 millisecond',
        expires_at = CASE WHEN expires_at > clock_timestamp() + $2 * interval '1 millisecond' THEN expires_at END,
        max_attempts = greatest(max_attempts, least(num_attempts, ${LAST_INTEGER - 1}) + 1),
        progress = NULL,
        progress_message = NULL,
        completed_at = NULL,
        updated_at = clock_timestamp()
      WHERE id = $1 AND status IN ('pending', 'failed', 'expired', 'cancelled')
      RETURNING *`,
    },
  }) satisfies Record<string, Statement>
