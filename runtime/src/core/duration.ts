import ms from 'ms'
import { AsyncGenError } from './errors.js'

type Unit =
  | 'ms'
  | 'msec'
  | 'msecs'
  | 'millisecond'
  | 'milliseconds'
  | 's'
  | 'sec'
  | 'secs'
  | 'second'
  | 'seconds'
  | 'm'
  | 'min'
  | 'mins'
  | 'minute'
  | 'minutes'
  | 'h'
  | 'hr'
  | 'hrs'
  | 'hour'
  | 'hours'
  | 'd'
  | 'day'
  | 'days'
  | 'w'
  | 'week'
  | 'weeks'
  | 'y'
  | 'yr'
  | 'yrs'
  | 'year'
  | 'years'

/**
 * A length of time: milliseconds, or text such as `'300ms'`, `'5s'`, `'1 day'`. A text that is only known at run time (from the
 * environment, for example) needs `as Duration`; it is checked when it is used.
 */
export type Duration = number | `${number}${Unit}` | `${number} ${Unit}`

/**
 * A duration in milliseconds.
 * @param option the name of the option, for the error message
 * @throws AsyncGenError INVALID_DURATION
 */
export function milliseconds(duration: Duration, option?: string): number {
  const result = typeof duration === 'number' ? duration : parse(duration)
  if (result === undefined || !Number.isFinite(result) || result < 0) {
    const given = typeof duration === 'string' ? JSON.stringify(duration) : String(duration)
    throw new AsyncGenError(
      'INVALID_DURATION',
      `${option === undefined ? '' : `${option}: `}${given} is not a duration. Write milliseconds, or text such as '300ms', '5s' or '1 day'.`,
    )
  }
  return result
}

/** The longest delay, in milliseconds: 1,000 years. Times in the far future do not fit into a Date. */
const LONGEST_DELAY = 1000 * 365.25 * 86_400_000

/**
 * A duration in milliseconds that can be added to the current time.
 * @param option the name of the option, for the error message
 * @throws AsyncGenError INVALID_DURATION
 */
export function delayMilliseconds(duration: Duration, option: string): number {
  const result = milliseconds(duration, option)
  if (result <= LONGEST_DELAY) return result
  throw new AsyncGenError('INVALID_DURATION', `${option}: ${duration} is too long. It must be at most 1,000 years.`)
}

function parse(text: unknown): number | undefined {
  try {
    return ms(text as ms.StringValue)
  } catch {
    // ms throws for a value that is not a string, and for an empty or very long one.
    return undefined
  }
}

/** Seconds since an earlier value of `performance.now()`, rounded to microseconds. */
export function secondsSince(started: number): number {
  return Math.round((performance.now() - started) * 1000) / 1_000_000
}
