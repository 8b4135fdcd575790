import { Attempt } from './async/attempt.js'

export class UrgentAttempt extends Attempt {
  override retryDelay() {
    return 0
  }
}
