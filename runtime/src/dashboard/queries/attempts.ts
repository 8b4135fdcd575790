import type { AttemptClass } from '../../attempt/attempt.js'
import type { AttemptFilter } from '../../attempt/binding.js'
import { rowFilter } from '../../attempt/filter.js'
import type { AttemptStatus, RowFilter } from '../../attempt/row.js'
import {
  type Cursor,
  finishedStatement,
  type ListQuery,
  listStatement,
  runningStatement,
  tokenStatement,
  type Walk,
  windowEndStatement,
} from '../sql/attempts.js'

/** A row of a list. */
export interface ListedAttempt {
  id: string
  scheduledText: string
  completedText: string | null
  target: string
  method: string
  type: string | null
  status: AttemptStatus
  priority: number
  numAttempts: number
  maxAttempts: number
  snoozes: number
  scheduledAt: Date
  startedAt: Date | null
  completedAt: Date | null
  createdAt: Date
  progress: number | null
  lockedBy: number | null
  isEncrypted: boolean
  /** The beginning of the arguments; null if they are encrypted or large. */
  argsText: string | null
  /** The size of the arguments as stored, in bytes. */
  argsSize: number
  /** The latest error. */
  error: { name: string | null; code: string | null; message: string | null } | null
}

export interface AttemptPage {
  rows: ListedAttempt[]
  /** Where the next page begins; undefined on the last one. */
  next: Cursor | undefined
  /** By what the rows are sorted. */
  order: 'recorded' | 'due' | 'ended' | 'started'
  /** How many rows were looked at, if the page ended for that reason: there may be more matches after them. */
  searched?: number
}

export const PAGE = 50

/** How many rows a page looks at for a condition that no index has. */
const WINDOW = 10_000

/** The same for text in the arguments, which may be large. */
const ARGUMENT_WINDOW = 2000

const FINISHED: readonly AttemptStatus[] = ['succeeded', 'failed', 'expired', 'cancelled']

/**
 * One page of attempts of one status, or of all.
 * @param filter with one status at most
 * @param isReversed whether the order is that of the oldest, or of those due last
 */
export async function attemptPage(
  Attempt: AttemptClass,
  filter: AttemptFilter & { status?: AttemptStatus },
  isReversed: boolean,
  cursor: Cursor | undefined,
): Promise<AttemptPage> {
  const { db, store } = Attempt
  const rows = await rowFilter(Attempt, filter, 'where')
  const { status } = filter
  const limit = PAGE + 1
  const run = async ({ statement, values }: { statement: ListQueryStatement; values: unknown[] }) =>
    await db.query<ListedAttempt>(statement, values)
  if (filter.idempotenceToken !== undefined)
    return { rows: await run(tokenStatement(store.table, rows, PAGE)), next: undefined, order: 'recorded' }
  if (status === 'running')
    return { rows: await run(runningStatement(store.table, rows, 500)), next: undefined, order: 'started' }

  const byCall = isFinished(status) && isOnlyCall(rows)
  const walk = walkOf(rows, status, byCall, isReversed)
  const window = rows.argument === undefined ? WINDOW : ARGUMENT_WINDOW
  const query: ListQuery = { table: store.table, walk, filter: rows, cursor, window, limit }
  const found = await run(byCall ? finishedStatement(query, status!) : listStatement(query))
  const order = walk.column === undefined ? 'recorded' : walk.column === 'scheduled_at' ? 'due' : 'ended'
  if (found.length === limit) return { rows: found.slice(0, PAGE), next: cursorOf(found[PAGE - 1]!, walk), order }
  if (byCall || !hasConditions(rows)) return { rows: found, next: undefined, order }
  const end = windowEndStatement(query)
  const [last] = await db.query<ListedAttempt>(end.statement, end.values)
  return { rows: found, next: last && cursorOf(last, walk), order, ...(last && { searched: window }) }
}

type ListQueryStatement = ReturnType<typeof listStatement>['statement']

/** The index whose order serves a filter. */
function walkOf(filter: RowFilter, status: AttemptStatus | undefined, byCall: boolean, isReversed: boolean): Walk {
  const { batchId, schedule } = filter
  if (batchId !== undefined || schedule !== undefined)
    return { batchId, schedule, isDescending: !isReversed, where: status === undefined ? [] : [`status = '${status}'`] }
  if (status === 'pending') return { column: 'scheduled_at', isDescending: isReversed, where: ["status = 'pending'"] }
  if (status === 'blocked') return { isDescending: !isReversed, where: ["status = 'blocked'"] }
  if (byCall) return { isDescending: !isReversed, where: [] }
  if (status === undefined) {
    // The index of the rows with errors has their ids.
    return { isDescending: !isReversed, where: filter.error === undefined ? [] : ["errors <> '[]'"] }
  }
  return {
    column: 'completed_at',
    isDescending: !isReversed,
    where: [`status = '${status}'`, 'completed_at IS NOT NULL'],
  }
}

function isFinished(status: AttemptStatus | undefined): boolean {
  return status !== undefined && FINISHED.includes(status)
}

/** Whether the target, the method or both are the only conditions beside the status. */
function isOnlyCall({ statuses: _, target, method, ...others }: RowFilter): boolean {
  return (target !== undefined || method !== undefined) && Object.values(others).every((value) => value === undefined)
}

function hasConditions({ statuses: _, ...others }: RowFilter): boolean {
  return Object.values(others).some((value) => value !== undefined)
}

function cursorOf({ id, scheduledText, completedText }: ListedAttempt, { column }: Walk): Cursor {
  if (column === undefined) return { id }
  return { id, time: (column === 'scheduled_at' ? scheduledText : completedText)! }
}
