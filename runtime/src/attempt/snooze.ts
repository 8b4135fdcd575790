import { type Duration, delayMilliseconds } from '../core/duration.js'

/** What a call returns to run again later: see `Attempt.current().snooze()`. */
export class Snooze {
  /** Milliseconds until the next run. */
  readonly delay: number

  /** @throws AsyncGenError INVALID_DURATION */
  constructor(delay: Duration) {
    this.delay = delayMilliseconds(delay, 'snooze')
  }
}
