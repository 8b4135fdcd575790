import type { Statement } from '../core/statement.js'
import { NO_ROW, PAGE, type WatchedTable } from './watched-rows.js'

// Both statements return the rows that differ from the version that was last read. The version of a row is its system column xmin: the
// transaction that wrote it. It changes with every way of writing, plain SQL included, and needs neither a trigger nor a notification.
// Values, which may be large, are only read of rows that have ended.

/** The attempts of a table, by their ids. */
export function attemptsTable(table: string): WatchedTable {
  const statement: Statement = {
    name: `${table}:watch`,
    text: `
      SELECT
        watched.key, coalesce(attempt.xmin::text, '${NO_ROW}') AS version,
        attempt.id::text AS id, target, method, encryptor, status, progress, progress_message,
        CASE WHEN status = 'succeeded' THEN result END AS result,
        errors -> -1 AS error
      FROM jsonb_to_recordset($1::jsonb) AS watched (key text, version text)
      LEFT JOIN "${table}" AS attempt ON attempt.id = watched.key::bigint
      WHERE coalesce(attempt.xmin::text, '${NO_ROW}') IS DISTINCT FROM watched.version
      LIMIT ${PAGE}`,
  }
  return { name: table, statement }
}

/** The rows of `toasts`, which hold the values of reports too. A key is a JSON array of name and key. */
export const toastsTable: WatchedTable = {
  name: 'toasts',
  statement: {
    name: 'toasts:watch',
    text: `
      SELECT
        watched.key, coalesce(toast.xmin::text, '${NO_ROW}') AS version,
        locked_by IS NOT NULL AS is_running,
        coalesce(refresh_at < 'infinity', false) AS is_requested,
        has_value, progress, progress_message,
        CASE WHEN has_value AND refresh_at IS NULL THEN value END AS value,
        CASE WHEN failures > 0 THEN error END AS error
      FROM jsonb_to_recordset($1::jsonb) AS watched (key text, version text)
      LEFT JOIN toasts AS toast ON toast.name = watched.key::jsonb ->> 0 AND toast.key = watched.key::jsonb ->> 1
      CROSS JOIN LATERAL (
        SELECT isfinite(cached_at) AND coalesce(expires_at > statement_timestamp(), true)
      ) AS cached (has_value)
      WHERE coalesce(toast.xmin::text, '${NO_ROW}') IS DISTINCT FROM watched.version
      LIMIT ${PAGE}`,
  },
}
