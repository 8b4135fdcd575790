import { Attempt } from './async/attempt.js'
import { prisma } from './db.js'

/** The same table and worker, with a hook of its own: somebody hears of every failure. */
export class UrgentAttempt extends Attempt {
  override async handlePerformError(error: unknown) {
    await prisma.newsletter.create({ data: { subject: `Urgent: ${this.target}.${this.method} failed` } })
    await super.handlePerformError(error)
  }

  override retryDelay() {
    return 100
  }
}
