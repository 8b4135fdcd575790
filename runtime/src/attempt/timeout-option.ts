import { type Duration, milliseconds } from '../core/duration.js'
import { AsyncGenError } from '../core/errors.js'

/** The longest time limit, in milliseconds: 24 days. Timers of Node and the column of the row take no more. */
const LONGEST_TIMEOUT = 2_147_483_647

/**
 * A time limit in milliseconds.
 * @throws AsyncGenError INVALID_DURATION, INVALID_OPTION
 */
export function timeLimit(timeout: Duration, option: string): number {
  const limit = Math.ceil(milliseconds(timeout, option))
  if (limit > 0 && limit <= LONGEST_TIMEOUT) return limit
  throw new AsyncGenError('INVALID_OPTION', `${option} is ${timeout}. It must be from 1 ms to 24 days.`)
}
