import { Cron } from 'croner'
import { AsyncGenError } from '../../core/errors.js'

const DAY = 86_400_000

/** The occurrences of a cron expression in a time zone. */
export interface Occurrences {
  /** The first occurrence after a time; undefined if there is none. */
  after(time: Date): Date | undefined
}

const known = new Map<string, Occurrences>()

/**
 * Reads a cron expression of five fields, or of six with seconds first.
 *
 * Croner finds the wall-clock times that match. Where the clocks change, it loses or repeats some of them in a zone, so the zone is applied
 * here: an expression for every hour (`30 * * * *`) occurs in every hour that passes. Others occur once for each wall-clock time: one that
 * is skipped in spring occurs as much later as the clocks were moved, and one that is repeated in autumn occurs the first time.
 *
 * @param name the schedule, for the error message
 * @throws AsyncGenError INVALID_SCHEDULE
 */
export function occurrencesOf(name: string, cron: unknown, tz: unknown): Occurrences {
  const key = JSON.stringify([cron, tz])
  let occurrences = known.get(key)
  if (!occurrences) {
    occurrences = parse(name, cron, tz)
    if (known.size >= 10_000) known.clear()
    known.set(key, occurrences)
  }
  return occurrences
}

function parse(name: string, cron: unknown, tz: unknown): Occurrences {
  const zone = zoneOf(name, tz)
  const matches = patternOf(name, cron)
  const next = (wall: number) => matches.nextRun(new Date(wall))?.getTime()
  const after = isEveryHour(cron as string) ? everyHour(next, zone) : onceForEachWallTime(next, zone)
  return {
    after: (time) => {
      const found = after(time.getTime())
      return found === undefined ? undefined : new Date(found)
    },
  }
}

function patternOf(name: string, cron: unknown): Cron {
  const shown = typeof cron === 'string' ? JSON.stringify(cron) : String(cron)
  let matches: Cron
  try {
    if (typeof cron !== 'string') throw new TypeError('it is no text')
    requireFields(cron)
    matches = new Cron(cron, { timezone: 'UTC', paused: true })
  } catch (error) {
    const why = (error as Error).message.replace(/^CronPattern: /, '').replace(/\.$/, '')
    throw invalid(
      name,
      `cron is ${shown}, which is not valid: ${why}. Write minute, hour, day of month, month and day of week: '0 4 * * 1-5'.`,
    )
  }
  if (matches.nextRun(new Date())) return matches
  throw invalid(name, `cron is ${shown}, which never occurs. Correct the day, the month or the year.`)
}

/** The message of the library would mention a seventh field. */
function requireFields(cron: string): void {
  const fields = cron.trim() === '' ? [] : cron.trim().split(/\s+/)
  if (fields.length >= 5 || /^@\w+$/.test(fields[0] ?? '')) return
  throw new RangeError(`it has ${fields.length} ${fields.length === 1 ? 'field' : 'fields'}`)
}

/** How far the wall clock of a zone is ahead of UTC at a time, in milliseconds. */
type Zone = (time: number) => number

function zoneOf(name: string, tz: unknown): Zone {
  let format: Intl.DateTimeFormat
  try {
    if (typeof tz !== 'string' || tz === '') throw new RangeError('it is no text')
    format = new Intl.DateTimeFormat('en-US', { timeZone: tz, timeZoneName: 'longOffset' })
  } catch {
    throw invalid(
      name,
      `tz is ${JSON.stringify(tz)}, which is no time zone. Write one such as 'Europe/Berlin' or 'UTC'.`,
    )
  }
  return (time) => {
    const text = format.formatToParts(time).find(({ type }) => type === 'timeZoneName')!.value
    const [, sign, hours = 0, minutes = 0, seconds = 0] = /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?/.exec(text)!
    return (sign === '-' ? -1 : 1) * (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000
  }
}

type Next = (time: number) => number | undefined

function everyHour(next: Next, offsetAt: Zone): Next {
  return function after(time): number | undefined {
    const offset = offsetAt(time)
    const wall = next(time + offset)
    if (wall === undefined) return undefined
    const found = wall - offset
    if (offsetAt(found) === offset) return found
    const change = firstChange(time, found, offsetAt)
    const wallAfter = next(change - 1 + offsetAt(change))
    return wallAfter === undefined ? undefined : wallAfter - offsetAt(change)
  }
}

/** The first millisecond after `from` at which the zone has another offset. There is one until `to`. */
function firstChange(from: number, to: number, offsetAt: Zone): number {
  const offset = offsetAt(from)
  let [before, after] = [from, to]
  for (let time = from; time < to; time += 7 * DAY) {
    if (offsetAt(time) !== offset) {
      after = time
      break
    }
    before = time
  }
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2)
    if (offsetAt(middle) === offset) before = middle
    else after = middle
  }
  return after
}

function onceForEachWallTime(next: Next, offsetAt: Zone): Next {
  return (time) => {
    // Around a change, a later wall-clock time may come first: 2:45 occurs at 3:45, after 3:15.
    const offsets = [offsetAt(time - DAY), offsetAt(time), offsetAt(time + DAY)]
    const shift = Math.max(...offsets) - Math.min(...offsets)
    let earliest: number | undefined
    for (let wall = next(time + offsetAt(time) - 2 * shift - 1); wall !== undefined; wall = next(wall)) {
      const found = timeOfWall(wall, offsetAt)
      if (found > time && (earliest === undefined || found < earliest)) earliest = found
      if (earliest !== undefined && wall - Math.min(offsetAt(wall), ...offsets) >= earliest + 2 * shift) break
    }
    return earliest
  }
}

/** When a wall clock shows a time: the first time if it does so twice; as much later as it was moved if it never does. */
function timeOfWall(wall: number, offsetAt: Zone): number {
  const [before, after] = [offsetAt(wall - DAY), offsetAt(wall + DAY)]
  if (before === after) return wall - before
  const times = [wall - before, wall - after].filter((time) => time + offsetAt(time) === wall)
  return times.length > 0 ? Math.min(...times) : wall - before
}

function isEveryHour(cron: string): boolean {
  const fields = cron.trim().split(/\s+/)
  if (fields.length === 1) return fields[0]!.toLowerCase() === '@hourly'
  const hour = fields.length === 5 ? fields[1]! : fields[2]!
  return ['*', '?', '*/1', '0-23'].includes(hour)
}

export function invalid(name: string, problem: string): AsyncGenError {
  return new AsyncGenError('INVALID_SCHEDULE', `The schedule ${JSON.stringify(name)}: ${problem}`)
}
