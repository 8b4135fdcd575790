import type { Statement } from '../../core/statement.js'
import { MAX_STORED, MAX_VALUE } from './attempt.js'
import { cut, plainJson, preview } from './cut.js'

/** The reports of a page, with the toasts that hold their values. */
export const reportsStatement = (table: string): Statement => ({
  name: `${table}:dashboard-reports`,
  planned: 'each time',
  text: `
    -- $1 how many rows to look at, $2 how many to return, $3 types, $4 the names of their toasts, $5 id of the row before, or null
    SELECT
      report.id::text, ${cut('report.type', 200)} AS type, ${preview('report.args', 200)} AS "argsText", report.created_at AS "createdAt",
      toast.id::text AS "toastId", toast.cached_at AS "cachedAt", toast.elapsed, coalesce(toast.failures, 0) AS failures,
      toast.locked_by AS "lockedBy", toast.progress, CASE WHEN isfinite(toast.refresh_at) THEN toast.refresh_at END AS "refreshAt",
      toast.id IS NOT NULL AND toast.epoch IS DISTINCT FROM toast.value_epoch AS "isInvalidated",
      ${cut(`toast.error ->> 'name'`, 100)} AS "errorName", ${cut(`toast.error ->> 'message'`, 200)} AS "errorMessage"
    FROM (
      SELECT id, type, args, created_at FROM "${table}"
      WHERE $5::bigint IS NULL OR id < $5
      ORDER BY id DESC
      LIMIT $1
    ) AS report
      LEFT JOIN toasts AS toast
        ON toast.key = report.id::text AND toast.name = ($4::text[])[array_position($3::text[], report.type)]
    WHERE report.type = ANY ($3)
    ORDER BY report.id DESC
    LIMIT $2`,
})

/** One report, and the toast that holds its value. */
export const reportStatement = (table: string): Statement => ({
  name: `${table}:dashboard-report`,
  text: `
    -- $1 id, $2 type, $3 name of its toast
    SELECT
      report.id::text, ${cut('args.text', MAX_VALUE)} AS "argsText", octet_length(args.text) AS "argsBytes",
      report.created_at AS "createdAt", toast.id::text AS "toastId"
    FROM "${table}" AS report
      LEFT JOIN toasts AS toast ON toast.key = report.id::text AND toast.name = $3
      LEFT JOIN LATERAL (
        SELECT (${plainJson('report.args')})::text AS text WHERE pg_column_size(report.args) <= ${MAX_STORED}
      ) AS args ON true
    WHERE report.id = $1::bigint AND report.type = $2`,
})

/** The last report that a page has looked at, if it has looked at as many as it may. */
export const reportsEndStatement = (table: string): Statement => ({
  name: `${table}:dashboard-reports-end`,
  planned: 'each time',
  text: `
    -- $1 how many rows were looked at, $2 id of the row before them, or null
    SELECT id::text FROM "${table}" AS report WHERE $2::bigint IS NULL OR id < $2 ORDER BY report.id DESC OFFSET $1 - 1 LIMIT 1`,
})

/** The next reports by id. */
export const reportIdsStatement = (table: string): Statement => ({
  name: `${table}:dashboard-ids`,
  planned: 'each time',
  text: `
    -- $1 how many rows, $2 id of the row before them
    SELECT report.id::text, type FROM "${table}" AS report WHERE id > $2::bigint ORDER BY report.id LIMIT $1`,
})
