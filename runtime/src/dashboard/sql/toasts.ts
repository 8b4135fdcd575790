import type { Statement } from '../../core/statement.js'
import { increment } from '../../toast/sql/toasts.js'
import { MAX_STORED, MAX_VALUE } from './attempt.js'
import { cut, plainJson, preview } from './cut.js'

/** How many toasts are grouped by name: the newest ones. */
export const MAX_SUMMARIZED = 5000

/** The longest computation that counts: about 30 years, in seconds. */
const LONGEST = 1e9

// "stateOf" of queries/toasts.ts decides the state from these columns.
const stateColumns = `
      cached_at AS "cachedAt", elapsed, failures, locked_by AS "lockedBy", progress, expires_at AS "expiresAt",
      CASE WHEN isfinite(refresh_at) THEN refresh_at END AS "refreshAt", to_json(refresh_at) #>> '{}' AS "refreshText",
      epoch IS DISTINCT FROM value_epoch AS "isInvalidated", clock_timestamp() AS now`

const listColumns = `
      id::text, ${cut('name', 200)} AS name, ${cut('key', 200)} AS key, ${stateColumns},
      pg_column_size(value) AS "valueSize", ${preview('args', 120)} AS "argsText",
      ${cut(`error ->> 'name'`, 100)} AS "errorName", ${cut(`error ->> 'message'`, 200)} AS "errorMessage"`

/** The orders in which toasts are listed: each is that of an index. */
const WALKS = {
  newest: {
    where: 'true',
    after: (id: string, time: string) => `id < ${id}::bigint AND ${time}::timestamptz IS NULL`,
    order: 'toast.id DESC',
  },
  requested: {
    where: 'refresh_at IS NOT NULL',
    after: (id: string, time: string) => `(refresh_at, id) > (${time}::timestamptz, ${id}::bigint)`,
    order: 'toast.refresh_at, toast.id',
  },
} as const

export type ToastWalk = keyof typeof WALKS

/** Toasts of one page. Looks at $1 rows. */
export const toastsStatement = (walk: ToastWalk): Statement => {
  const { where, after, order } = WALKS[walk]
  return {
    name: `toasts:dashboard-${walk}`,
    planned: 'each time',
    text: `
    -- $1 how many rows to look at, $2 how many to return, $3 name or null, $4 state or null, $5 id and $6 time of the row before, or null
    SELECT ${listColumns}
    FROM (
      SELECT * FROM toasts AS toast
      WHERE ${where} AND ($5::bigint IS NULL OR ${after('$5', '$6')})
      ORDER BY ${order}
      LIMIT $1
    ) AS toast
    WHERE ${isNamed('$3')} AND ${isInState('$4')}
    ORDER BY ${order}
    LIMIT $2`,
  }
}

/** The last row that a page has looked at, if it has looked at as many as it may. */
export const toastsEndStatement = (walk: ToastWalk): Statement => {
  const { where, after, order } = WALKS[walk]
  return {
    name: `toasts:dashboard-${walk}-end`,
    planned: 'each time',
    text: `
    -- $1 how many rows were looked at, $2 id and $3 time of the row before them, or null
    SELECT id::text, to_json(refresh_at) #>> '{}' AS "refreshText"
    FROM toasts AS toast
    WHERE ${where} AND ($2::bigint IS NULL OR ${after('$2', '$3')})
    ORDER BY ${order}
    OFFSET $1 - 1
    LIMIT 1`,
  }
}

/** The toasts of one key. */
export const toastsOfKeyStatement: Statement = {
  name: 'toasts:dashboard-of-key',
  text: `
    -- $1 keys, $2 name or null, $3 how many
    SELECT ${listColumns}
    FROM toasts
    WHERE key = ANY ($1::text[]) AND ${isNamed('$2')}
    ORDER BY name
    LIMIT $3`,
}

/** The toasts that workers compute now. */
export const refreshingToastsStatement: Statement = {
  name: 'toasts:dashboard-refreshing',
  text: `
    SELECT ${listColumns}
    FROM (SELECT * FROM toasts WHERE locked_by IS NOT NULL OFFSET 0) AS toast
    WHERE ${isNamed('$2')}
    ORDER BY toast.id
    LIMIT $1`,
}

/** The newest toasts by name: how many, how old and how costly. */
export const toastNamesStatement: Statement = {
  name: 'toasts:dashboard-names',
  text: `
    SELECT
      ${cut('name', 200)} AS name, count(*)::int AS count,
      count(*) FILTER (WHERE failures > 0)::int AS failing,
      count(*) FILTER (WHERE cached_at IS NULL)::int AS empty,
      count(*) FILTER (WHERE refresh_at IS NOT NULL OR (cached_at IS NOT NULL AND epoch IS DISTINCT FROM value_epoch))::int AS stale,
      avg(seconds)::float8 AS elapsed, max(seconds)::float8 AS slowest,
      min(cached_at) FILTER (WHERE isfinite(cached_at)) AS oldest, sum(count(*)) OVER ()::int AS total
    FROM (
      -- Rows that were written by hand may hold numbers whose sum is too large for the type.
      SELECT *, CASE WHEN elapsed BETWEEN 0 AND ${LONGEST} THEN elapsed END AS seconds
      FROM toasts
      ORDER BY id DESC
      LIMIT ${MAX_SUMMARIZED}
    ) AS newest
    GROUP BY name
    ORDER BY avg(seconds) * count(*) DESC NULLS LAST
    LIMIT 50`,
}

export const toastStatement: Statement = {
  name: 'toasts:dashboard-toast',
  text: `
    SELECT
      id::text, ${cut('name', 1000)} AS name, ${cut('key', 2000)} AS key, ${cut('task', 128)} AS task, ${stateColumns},
      ${cut('version', 200)} AS version, ${cut('progress_message', 2000)} AS "progressMessage",
      ${cut('value.text', MAX_VALUE)} AS "valueText", octet_length(value.text) AS "valueBytes",
      ${cut('args.text', MAX_VALUE)} AS "argsText", octet_length(args.text) AS "argsBytes",
      CASE WHEN pg_column_size(error) <= 65536 THEN error END AS error
    FROM toasts AS toast
      LEFT JOIN LATERAL (SELECT (${plainJson('value')})::text AS text WHERE pg_column_size(value) <= ${MAX_STORED}) AS value ON true
      LEFT JOIN LATERAL (SELECT (${plainJson('args')})::text AS text WHERE pg_column_size(args) <= ${MAX_STORED}) AS args ON true
    WHERE id = $1::bigint`,
}

/** The ids of the toasts that match, among the next rows by id. */
export const matchingToastsStatement: Statement = {
  name: 'toasts:dashboard-matching',
  planned: 'each time',
  text: `
    -- $1 how many rows to look at, $2 id of the row before them, $3 keys or null, $4 name or null, $5 state or null
    SELECT max(id)::text AS last, array_agg(id ORDER BY id) FILTER (WHERE matches)::text[] AS ids
    FROM (
      SELECT id, ($3::text[] IS NULL OR key = ANY ($3)) AND ${isNamed('$4')} AND ${isInState('$5')} AS matches
      FROM toasts
      WHERE id > $2::bigint
      ORDER BY id
      LIMIT $1
    ) AS toast`,
}

/**
 * Makes values stale and requests refreshes now, as `expire` does. Refreshes that run are repeated. All callers lock rows in the same order, to
 * avoid deadlocks.
 */
export const refreshStatement: Statement = {
  name: 'toasts:dashboard-refresh',
  once: true,
  text: `
    WITH chosen AS (
      SELECT id FROM toasts WHERE id = ANY ($1::bigint[]) ORDER BY key, name FOR UPDATE
    )
    UPDATE toasts SET
      epoch = ${increment('epoch')},
      wanted_epoch = ${increment('epoch')},
      refresh_at = least(refresh_at, clock_timestamp()),
      updated_at = clock_timestamp()
    FROM chosen
    WHERE toasts.id = chosen.id
    RETURNING toasts.id::text`,
}

/** Names end with the version of the code, if it has one. */
function isNamed(name: string): string {
  return `(${name}::text IS NULL OR name = ${name} OR starts_with(name, ${name} || '@'))`
}

function isInState(state: string): string {
  return `CASE ${state}::text
        WHEN 'failing' THEN failures > 0
        WHEN 'empty' THEN cached_at IS NULL
        WHEN 'queued' THEN refresh_at IS NOT NULL AND locked_by IS NULL
        WHEN 'refreshing' THEN locked_by IS NOT NULL
        ELSE true
      END`
}
