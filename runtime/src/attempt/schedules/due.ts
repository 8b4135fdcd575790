import { occurrencesOf } from './cron.js'
import type { MissedPolicy, OverlapPolicy } from './define.js'

/** An occurrence that was recorded so long after its time counts as missed, in milliseconds: no worker ran. */
const MISSED_AFTER = 60_000

/** How many occurrences one transaction records. */
const BATCH = 200

/** A schedule, and what has become of its occurrences. */
export interface ScheduleState {
  name: string
  cron: string
  tz: string
  missed: MissedPolicy
  overlap: OverlapPolicy
  /** Occurrences until then are recorded, or were left out for good. */
  recordedUntil: Date
  /** Whether an occurrence waits for the end of the one before. */
  waiting: boolean
}

/** What to do about a schedule now. */
export interface ScheduleStep {
  /** The occurrences to record. */
  record: Date[]
  recordedUntil: Date
  /** The next occurrence; null if there is none, or if it waits. */
  next: Date | null
  waiting: boolean
}

/**
 * Decides which occurrences are recorded.
 * @param isRunning whether the attempt of an occurrence before has not ended
 */
export function stepOf(schedule: ScheduleState, now: Date, isRunning: boolean): ScheduleStep {
  const { overlap, missed } = schedule
  const { after } = occurrencesOf(schedule.name, schedule.cron, schedule.tz)
  // After the clock was set back, occurrences may come a second time. Their tokens keep them from being recorded twice.
  const since = new Date(Math.min(schedule.recordedUntil.getTime(), now.getTime()))
  const due = dueOccurrences(schedule, since, now, after)
  if (overlap === 'wait' && isRunning && due.occurrences.length > 0)
    return { record: [], recordedUntil: since, next: null, waiting: true }
  if (overlap === 'wait' && missed === 'all' && due.occurrences.length > 1) {
    const [first] = due.occurrences as [Date]
    return { record: [first], recordedUntil: first, next: after(first) ?? null, waiting: false }
  }
  const alone = overlap === 'allow' ? due.occurrences : due.occurrences.slice(-1)
  return {
    record: overlap === 'skip' && isRunning ? [] : alone,
    recordedUntil: due.until,
    next: after(due.until) ?? null,
    waiting: false,
  }
}

interface Due {
  occurrences: Date[]
  /** Occurrences until then are decided. */
  until: Date
}

function dueOccurrences(
  { missed, waiting }: ScheduleState,
  since: Date,
  now: Date,
  after: (time: Date) => Date | undefined,
): Due {
  if (missed === 'all') {
    const occurrences = between(since, now, after, BATCH)
    return { occurrences, until: occurrences.length === BATCH ? occurrences.at(-1)! : now }
  }
  const onTimeSince = new Date(Math.max(since.getTime(), now.getTime() - MISSED_AFTER))
  const onTime = between(onTimeSince, now, after, BATCH)
  const until = onTime.length === BATCH ? onTime.at(-1)! : now
  if (onTime.length > 0) return { occurrences: onTime, until }
  // An occurrence that waited for the one before was not missed.
  const last = missed === 'once' || waiting ? lastBetween(since, onTimeSince, after) : undefined
  return { occurrences: last ? [last] : [], until }
}

function between(since: Date, now: Date, after: (time: Date) => Date | undefined, limit: number): Date[] {
  const found: Date[] = []
  for (let time = after(since); time && time <= now && found.length < limit; time = after(time)) found.push(time)
  return found
}

/** The last occurrence in a time that may be a year: looked for in its last minute, then in its last two minutes … */
function lastBetween(since: Date, now: Date, after: (time: Date) => Date | undefined): Date | undefined {
  for (let length = MISSED_AFTER; ; length *= 2) {
    const from = new Date(Math.max(since.getTime(), now.getTime() - length))
    let last: Date | undefined
    for (let time = after(from); time && time <= now; time = after(time)) last = time
    if (last || from <= since) return last
  }
}
