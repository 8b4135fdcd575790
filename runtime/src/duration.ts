import ms from 'ms'
import { AsyncGenError } from './errors.js'

/** A length of time: milliseconds, or text such as `'300ms'`, `'5s'`, `'1 day'`. */
export type Duration = number | string

/** A duration in milliseconds. */
export function milliseconds(duration: Duration): number {
  const result = typeof duration === 'number' ? duration : ms(duration as ms.StringValue)
  if (result === undefined || !Number.isFinite(result) || result < 0) {
    throw new AsyncGenError(
      'INVALID_DURATION',
      `${typeof duration === 'string' ? JSON.stringify(duration) : duration} is not a duration. Write milliseconds, or text such as '300ms', '5s' or '1 day'.`,
    )
  }
  return result
}

/** Seconds that have passed since a reading of `performance.now()`, to the microsecond. */
export function secondsSince(started: number): number {
  return Math.round((performance.now() - started) * 1000) / 1_000_000
}
