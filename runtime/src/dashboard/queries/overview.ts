import type { AttemptClass } from '../../attempt/attempt.js'
import type { WorkerInfo } from '../../core/living-workers.js'
import type { PageContext } from '../page.js'
import { MAX_COUNTED } from '../sql/counts.js'
import {
  dueStatement,
  failuresStatement,
  throughputStatement,
  toastsDueStatement,
  withoutJit,
} from '../sql/overview.js'
import { type Count, countsByStatus, type StatusCounts } from './counts.js'
import { currentPauses } from './pauses.js'

/** The state of one table of attempts. */
export interface AttemptsState {
  Attempt: AttemptClass
  due: number
  paused: number
  /** How many wait for their limit. */
  limited: number
  /** Seconds. */
  oldestDue: number
  running: number
  /** Whether there are more due rows than are counted. */
  isMore: boolean
  counts: StatusCounts | undefined
}

export interface ToastsState {
  due: number
  oldestDue: number
  running: number
  failing: number
  counted: number
}

/** The same failure of the same call, several times. */
export interface FailureGroup {
  target: string
  method: string
  name: string | null
  code: string | null
  message: string | null
  count: number
  latest: Date
  /** The attempt that failed last. */
  id: string
  /** How many failures were grouped. */
  total: number
}

/** A span of time in parts. */
export interface Span {
  label: string
  /** The length of a part, in seconds. */
  seconds: number
  parts: number
  /** How many rows are read at each end of a part. */
  sample: number
  /** Of how many rows of each part the run time is read. */
  timed: number
  /** How long the answer is used, in milliseconds. */
  maxAge: number
}

export const SPANS: Record<'hour' | 'day', Span> = {
  hour: { label: 'Last hour', seconds: 60, parts: 60, sample: 150, timed: 50, maxAge: 15_000 },
  day: { label: 'Last day', seconds: 1800, parts: 48, sample: 150, timed: 50, maxAge: 60_000 },
}

/** What happened in a part of a span. */
export interface Part {
  succeeded: number
  failed: number
  /** The median and the 95th percentile of the run times, in seconds; null if nothing ended. */
  median: number | null
  slow: number | null
  isEstimate: boolean
}

/** The overview of a moment. All tabs share its queries. */
export async function attemptStates(context: PageContext): Promise<AttemptsState[]> {
  const { settings, db, cache } = context
  const paused = new Set((await currentPauses(context)).map(({ model }) => model))
  return await Promise.all(
    settings.attempts.map(async (Attempt) => {
      const { table } = Attempt.store
      const [[state], counts] = await Promise.all([
        cache.get(`due ${table}`, 1000, () =>
          db.query<Omit<AttemptsState, 'Attempt' | 'counts' | 'isMore'>>(
            dueStatement(table, paused.has(Attempt.model)),
            [Attempt.model],
          ),
        ),
        countsByStatus(context, Attempt),
      ])
      return { Attempt, ...state!, counts, isMore: state!.due + state!.paused + state!.limited > MAX_COUNTED }
    }),
  )
}

export async function toastsState({ db, cache }: PageContext): Promise<ToastsState> {
  const [state] = await cache.get('toasts due', 1000, () => db.query<ToastsState>(toastsDueStatement, []))
  return state!
}

export async function livingWorkers({ db, cache }: PageContext): Promise<WorkerInfo[]> {
  return await cache.get('workers', 1000, () => db.workers())
}

export async function failureGroups(
  { db, cache }: PageContext,
  { store: { table } }: AttemptClass,
): Promise<FailureGroup[]> {
  return await cache.get(`failures ${table}`, 5000, () => db.query<FailureGroup>(failuresStatement(table), []))
}

/** What was read of a part: its first rows and, if they are as many as may be read, its last ones. */
interface PartRow {
  number: number
  status: 'succeeded' | 'failed'
  count: number
  /** The time from the first of them to the last, in seconds. */
  firstSpan: number
  median: number | null
  slow: number | null
  lastCount: number | null
  lastSpan: number | null
  /** The time from the first rows to the last ones, in seconds; 0 or less if they are the same. */
  between: number | null
}

export async function throughput(
  { db, cache }: PageContext,
  { store: { table } }: AttemptClass,
  span: Span,
): Promise<Part[]> {
  const { label, seconds, parts, sample, timed, maxAge } = span
  const rows = await cache.get(`throughput ${label} ${table}`, maxAge, () =>
    db.transaction(async (query) => {
      await query(withoutJit, [])
      return await query<PartRow>(throughputStatement(table), [seconds, parts, sample, timed])
    }),
  )
  const result = Array.from(
    { length: parts },
    (): Part => ({ succeeded: 0, failed: 0, median: null, slow: null, isEstimate: false }),
  )
  for (const row of rows) {
    const part = result[row.number]!
    const { count, isEstimate } = countOfPart(row)
    part[row.status] = count
    part.isEstimate ||= isEstimate
    // Where something succeeded, its run times are shown.
    if (row.status === 'succeeded' || part.median === null) Object.assign(part, { median: row.median, slow: row.slow })
  }
  return result
}

/** Rows that were not read count as if they were as many in a second as those around them. */
export function countOfPart({ count, firstSpan, lastCount, lastSpan, between }: PartRow): Count {
  if (lastCount === null || between === null || lastSpan === null) return { count, isEstimate: false }
  if (between > 0) {
    const rate = (count + lastCount) / Math.max(firstSpan + lastSpan, 0.001)
    return { count: Math.round(count + lastCount + rate * between), isEstimate: true }
  }
  // Some of the last rows are among the first ones.
  const isLater = lastSpan > 0 ? Math.max(0, (lastSpan + between) / lastSpan) : 0
  return { count: Math.round(count + lastCount * isLater), isEstimate: isLater > 0 }
}
