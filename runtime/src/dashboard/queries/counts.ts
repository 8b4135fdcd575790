import type { AttemptClass } from '../../attempt/attempt.js'
import { ATTEMPT_STATUSES, type AttemptStatus } from '../../attempt/row.js'
import { isSubclass } from '../../attempt/subclasses.js'
import type { Database } from '../../core/database.js'
import type { PageContext } from '../page.js'
import { countAllStatement, countStatement, estimateStatement, MAX_COUNTED, tableSizeStatement } from '../sql/counts.js'

/** How many rows there are. Above 10,000 they are estimated. */
export interface Count {
  count: number
  isEstimate: boolean
}

/** How long counts are used, in milliseconds. */
const MAX_AGE = 5000

/** How many attempts have each status, and all. */
export type StatusCounts = Record<AttemptStatus | 'all', Count>

/** How many attempts have each status. All pages of five seconds share these queries. Undefined for a subclass, which has no such indexes. */
export async function countsByStatus(
  { db, cache }: PageContext,
  Attempt: AttemptClass,
): Promise<StatusCounts | undefined> {
  if (isSubclass(Attempt)) return undefined
  const { table } = Attempt.store
  return await cache.get(`counts ${table}`, MAX_AGE, async () => {
    const entries = ATTEMPT_STATUSES.map(async (status) => [status, await countOf(db, table, status)] as const)
    const [all, ...counts] = await Promise.all([countAll(db, table), ...entries])
    return { all, ...Object.fromEntries(counts) } as StatusCounts
  })
}

async function countOf(db: Database, table: string, status: AttemptStatus): Promise<Count> {
  const [row] = await db.query<{ count: number }>(countStatement(table, status), [])
  if (row!.count <= MAX_COUNTED) return { count: row!.count, isEstimate: false }
  const [explained] = await db.query<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>(
    estimateStatement(table, status),
    [],
  )
  return atLeast(explained!['QUERY PLAN'][0].Plan['Plan Rows'])
}

/** How many rows a table has. */
async function countAll(db: Database, table: string): Promise<Count> {
  const [row] = await db.query<{ count: number }>(countAllStatement(table), [])
  if (row!.count <= MAX_COUNTED) return { count: row!.count, isEstimate: false }
  const [size] = await db.query<{ rows: number }>(tableSizeStatement, [table])
  return atLeast(size?.rows ?? 0)
}

/** More were counted than that, whatever the statistics say. */
function atLeast(estimate: number): Count {
  return { count: Math.max(estimate, MAX_COUNTED), isEstimate: true }
}

/** `12`, `about 1.2M`. */
export function countTextOf({ count, isEstimate }: Count): string {
  if (!isEstimate) return count.toLocaleString('en')
  return `about ${new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 2 }).format(count)}`
}
