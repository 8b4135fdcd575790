import { BaseAttempt } from '@async-gen/runtime'
import { db } from './database.js'
import { targets } from './targets.js'

/** A call recorded now, in your transaction, and made later by the worker. */
export class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets,
}) {
  /** Every failed run ends here. The default records the error, retries with backoff, and fails at `maxAttempts`. */
  override async handlePerformError(error: unknown) {
    if (process.env.PAGER === 'on') console.error(this.method)
    await super.handlePerformError(error)
  }
}
