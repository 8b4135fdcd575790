import type { Statement } from '../../core/statement.js'
import { ATTEMPT_STATUSES, type AttemptStatus, type RowFilter } from '../row.js'

/** A statement with the values of its parameters. */
export interface Bound {
  statement: Statement
  values: unknown[]
}

/** The filter of a bulk operation, which names the statuses that it changes. */
export type BulkFilter = RowFilter & { statuses: readonly AttemptStatus[] }

// Each statement here has only the conditions of its filter, and is planned with its values (`planned`). Each branch names its statuses,
// so that the planner can use the partial indexes: `_due`, `_running`, and those of finished rows.

/** The newest rows that match. */
export function selectStatement(table: string, filter: RowFilter, limit: number): Bound {
  const values: unknown[] = [limit]
  if (isEmpty(filter)) {
    return bound(`${table}:select`, `SELECT * FROM "${table}" ORDER BY id DESC LIMIT $1`, values)
  }
  // MATERIALIZED: otherwise the planner may walk the primary key from its end, past all rows that do not match.
  const text = `
    -- $1 limit
    WITH RECURSIVE ${ctes(table, filter, values, newestBranches)}
    SELECT attempt.*
    FROM (SELECT id FROM matching ORDER BY id DESC LIMIT $1) AS newest
    JOIN "${table}" AS attempt USING (id)
    ORDER BY id DESC`
  return bound(`${table}:select`, text, values)
}

export function countStatement(table: string, filter: RowFilter): Bound {
  const values: unknown[] = []
  if (isEmpty(filter)) return bound(`${table}:count`, `SELECT count(*) FROM "${table}"`, values)
  const text = `
    WITH RECURSIVE ${ctes(table, filter, values, allBranches)}
    SELECT count(*) FROM matching`
  return bound(`${table}:count`, text, values)
}

/** The ids of all rows that match, in ascending order, as array literals of up to `size` ids. */
export function batchesStatement(table: string, filter: RowFilter, size: number): Bound {
  const values: unknown[] = [size]
  const text = `
    -- $1 size of a batch
    WITH RECURSIVE ${ctes(table, filter, values, allBranches)}
    SELECT array_agg(id ORDER BY id)::text AS ids
    FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / $1::int AS batch FROM matching) AS numbered
    GROUP BY batch
    ORDER BY batch`
  return bound(`${table}:batches`, text, values)
}

/**
 * The conditions of a filter, for rows that are read by their ids.
 * @param values gets the values of the parameters
 */
export function conditionsById(table: string, filter: BulkFilter, values: unknown[]): string {
  const { statuses, ...others } = filter
  // The status is compared as text: compared as an enum, the planner could choose a partial index instead of the ids.
  const ofStatus = `status::text IN (${literals(statuses)})`
  return [ofStatus, ...conditions(table, others, values)].join(' AND ')
}

function bound(name: string, text: string, values: unknown[]): Bound {
  return { statement: { name, text, planned: 'each time' }, values }
}

function isEmpty(filter: RowFilter): boolean {
  return Object.values(filter).every((value) => value === undefined)
}

type Branches = (table: string, filter: RowFilter, values: unknown[]) => Branch[]

/** A query for ids, and the common table expressions that it needs. */
interface Branch {
  ctes?: string[]
  query: string
}

function ctes(table: string, filter: RowFilter, values: unknown[], branchesOf: Branches): string {
  const branches = branchesOf(table, filter, values)
  const matching = `matching AS MATERIALIZED (${branches.map(({ query }) => query).join(' UNION ALL ')}
    )`
  return [...branches.flatMap((branch) => branch.ctes ?? []), matching].join(', ')
}

/** One branch that reads all matching rows, or several whose statuses differ. */
function allBranches(table: string, filter: RowFilter, values: unknown[]): Branch[] {
  const { statuses, ...others } = filter
  const { target, method, idempotenceToken, parentId, batchId, schedule, types } = others
  const where = conditions(table, others, values)
  const anyStatus = statuses ? [ofStatuses(statuses), ...where] : where
  if (idempotenceToken !== undefined && (target === undefined || method === undefined)) {
    return [{ ctes: [tokenGroups(table)], query: inGroups(table, 'token_groups', anyStatus) }]
  }
  const isIndexed = [idempotenceToken, parentId, batchId, schedule].some((value) => value !== undefined)
  if (isIndexed || (types && where.length === 1)) {
    return [{ query: idsOf(table, anyStatus) }]
  }

  const wanted = statuses ?? ATTEMPT_STATUSES
  const finished = wanted.filter(isFinished)
  const branches = wanted
    .filter((status) => !isFinished(status))
    .map((status): Branch => ({ query: idsOf(table, [ofStatuses([status]), ...where]) }))
  // The index of finished rows has the target before the method.
  if (method !== undefined && target === undefined) {
    return [
      ...branches,
      ...finished.map((status) => ({
        ctes: [finishedGroups(table, status)],
        query: inGroups(table, `${status}_groups`, [ofStatuses([status]), ...where]),
      })),
    ]
  }
  if (finished.length === 0) return branches
  return [
    ...branches,
    ...finishedRanges(filter, finished, values).map((range) => ({ query: idsOf(table, [...range, ...where]) })),
  ]
}

/**
 * Conditions that together cover all finished rows that were created after a time. No index has the times of creation. But rows end after
 * they are created, so the index of the times of completion serves. Rows written by hand, for which this is not true, have one of their own.
 */
function finishedRanges(filter: RowFilter, finished: AttemptStatus[], values: unknown[]): string[][] {
  const { createdAfter, endedAfter, error } = filter
  // The index of rows with errors does not begin with the status.
  const statuses = (error === undefined ? indexable(finished) : [finished]).map(ofStatuses)
  if (!createdAfter || endedAfter) return statuses.map((status) => [status])
  const after = `${parameter(createdAfter, values)}::timestamptz`
  return [
    ...statuses.map((status) => [status, `completed_at >= ${after}`]),
    [ofStatuses(finished), 'completed_at < created_at', `completed_at < ${after}`],
    ...statuses.map((status) => [status, 'completed_at IS NULL']),
  ]
}

/**
 * All finished statuses together are the condition of the partial indexes that begin with the status. PostgreSQL drops a condition that an
 * index implies. Before version 18, it then reads the whole index.
 */
function indexable(finished: AttemptStatus[]): AttemptStatus[][] {
  if (finished.length < ATTEMPT_STATUSES.filter(isFinished).length) return [finished]
  return [['succeeded'], finished.filter((status) => status !== 'succeeded')]
}

/** Like `allBranches`, but where an index has the rows of a branch in the order of their ids, the branch ends after $1 rows. */
function newestBranches(table: string, filter: RowFilter, values: unknown[]): Branch[] {
  const { statuses = ATTEMPT_STATUSES, target, method, types, ...others } = filter
  if (!isEmpty(others)) return allBranches(table, filter, values)
  const where = conditions(table, { target, method }, values)
  if (types) {
    const listed = parameter(types, values)
    return statuses.map((status) => ({
      query: `
      SELECT newest.id
      FROM unnest(${listed}::text[]) AS class (name), LATERAL (
        SELECT id FROM "${table}"
        WHERE ${['type = class.name', ofStatuses([status]), ...where].join(' AND ')}
        ORDER BY id DESC
        LIMIT $1
      ) AS newest`,
    }))
  }
  return statuses.flatMap((status) => {
    if (!isFinished(status)) return [{ query: idsOf(table, [ofStatuses([status]), ...where]) }]
    return {
      ctes: [finishedGroups(table, status)],
      query: `
      SELECT newest.id
      FROM ${status}_groups AS calls, LATERAL (
        SELECT id FROM "${table}"
        WHERE ${ofStatuses([status])} AND target = calls.target AND method = calls.method
        ORDER BY id DESC
        LIMIT $1
      ) AS newest
      ${where.length > 0 ? `WHERE ${where.join(' AND ')}` : ''}`,
    }
  })
}

function idsOf(table: string, where: string[]): string {
  return `
      SELECT id FROM "${table}" WHERE ${where.join(' AND ')}`
}

/** The ids in each group. OFFSET 0: otherwise the planner may join the groups with the whole table. */
function inGroups(table: string, name: string, where: string[]): string {
  return `
      SELECT attempt.id
      FROM ${name} AS calls, LATERAL (
        SELECT id FROM "${table}"
        WHERE ${['target = calls.target', 'method = calls.method', ...where].join(' AND ')}
        OFFSET 0
      ) AS attempt`
}

/** The targets and methods of the rows that have a token. */
function tokenGroups(table: string): string {
  return groups(table, 'token_groups', 'idempotence_token IS NOT NULL')
}

/** The targets and methods of the rows with a status of finished rows. */
function finishedGroups(table: string, status: AttemptStatus): string {
  return groups(table, `${status}_groups`, ofStatuses([status]))
}

/**
 * A common table expression that finds each target and method with one access to an index, however many rows have them. It goes from the
 * last to the first: retention deletes rows at the beginning of each group, and their entries stay in the index until the next VACUUM.
 */
export function groups(table: string, name: string, where: string): string {
  return `${name} AS (
      (SELECT target, method FROM "${table}" WHERE ${where} ORDER BY target DESC, method DESC LIMIT 1)
      UNION ALL
      SELECT next.target, next.method
      FROM ${name} AS previous, LATERAL (
        SELECT target, method FROM "${table}"
        WHERE ${where} AND (target, method) < (previous.target, previous.method)
        ORDER BY target DESC, method DESC
        LIMIT 1
      ) AS next
    )`
}

function isFinished(status: AttemptStatus): boolean {
  return status !== 'pending' && status !== 'blocked' && status !== 'running'
}

function ofStatuses(statuses: readonly AttemptStatus[]): string {
  return statuses.length === 1 ? `status = '${statuses[0]}'` : `status IN (${literals(statuses)})`
}

/** Statuses as literals. They come from the fixed list of statuses. */
function literals(statuses: readonly AttemptStatus[]): string {
  return statuses.map((status) => `'${status}'`).join(', ')
}

/** Adds a value, and returns the parameter that stands for it: `$3`. */
export function parameter(value: unknown, values: unknown[]): string {
  return `$${values.push(value)}`
}

/** The conditions of a filter except those of the status. */
export function conditions(table: string, filter: Omit<RowFilter, 'statuses'>, values: unknown[]): string[] {
  const of = (value: unknown) => parameter(value, values)
  const { target, method, idempotenceToken, parentId, batchId, schedule, types, error, argument, data } = filter
  const { createdAfter, createdBefore, endedAfter, endedBefore } = filter
  const where: string[] = []
  if (target !== undefined) where.push(`target = ${of(target)}::text`)
  if (method !== undefined) where.push(`method = ${of(method)}::text`)
  if (idempotenceToken !== undefined) where.push(`idempotence_token = ${of(idempotenceToken)}::text`)
  if (parentId !== undefined) where.push(`parent_id = ${of(parentId)}::bigint`)
  if (batchId !== undefined) where.push(...isOfBatch(of(batchId)))
  if (schedule !== undefined) where.push(`schedule = ${of(schedule)}::text`)
  if (types) where.push(`type = ANY (${of(types)}::text[])`)
  if (createdAfter) where.push(`created_at >= ${of(createdAfter)}::timestamptz`)
  if (createdBefore) where.push(`created_at < ${of(createdBefore)}::timestamptz`)
  if (endedAfter) where.push(`completed_at >= ${of(endedAfter)}::timestamptz`)
  if (endedBefore) where.push(`completed_at < ${of(endedBefore)}::timestamptz`)
  if (error !== undefined) where.push(hasError(of(error)))
  if (argument !== undefined) where.push(hasArgument(of(argument)))
  return [...where, ...equalities(table, data ?? {}, of)]
}

/** The call that follows the batch is not one of its calls. */
function isOfBatch(batch: string): string[] {
  const follows = `(SELECT then_id FROM async_batches WHERE async_batches.id = ${batch}::bigint)`
  return [`batch_id = ${batch}::bigint`, `id IS DISTINCT FROM ${follows}`]
}

/** An encrypted error has neither name, code nor message. The first condition is that of the index of rows with errors. */
function hasError(text: string): string {
  const latest = (key: string) => `strpos(lower(errors -> -1 ->> '${key}'), lower(${text}::text)) > 0`
  return `errors <> '[]' AND (${latest('name')} OR ${latest('code')} OR ${latest('message')})`
}

function hasArgument(text: string): string {
  return `encryptor IS NULL AND strpos(lower(args::text), lower(${text}::text)) > 0`
}

/** The columns that the host has added, by name. PostgreSQL converts each value from JSON to the type of its column. */
function equalities(table: string, data: Record<string, unknown>, of: (value: unknown) => string): string[] {
  return Object.entries(data).map(([column, value]) => {
    const name = `"${column.replaceAll('"', '""')}"`
    if (value === null) return `${name} IS NULL`
    const record = of(JSON.stringify({ [column]: value }))
    return `${name} = (jsonb_populate_record(NULL::"${table}", ${record}::jsonb)).${name}`
  })
}
