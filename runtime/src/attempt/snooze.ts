import { type Duration, delayMilliseconds } from '../core/duration.js'

/** The shortest snooze, in milliseconds: a call that asks for less would keep a worker busy. */
const SHORTEST = 1000

/** What a call returns to run again later: see `Attempt.current().snooze()`. */
export class Snooze {
  /** Milliseconds until the next run. */
  readonly delay: number

  /** @throws AsyncGenError INVALID_DURATION */
  constructor(delay: Duration) {
    this.delay = Math.max(delayMilliseconds(delay, 'snooze'), SHORTEST)
  }
}
