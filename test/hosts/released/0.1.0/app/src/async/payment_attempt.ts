import { AesGcmEncryptor, BaseAttempt } from '@async-gen/runtime'
import { db } from './database.js'
import { targets } from './targets.js'

// The first key encrypts, the others only decrypt: to rotate, put a new key first and run the task payment_attempt_reencrypt.
// Make one with `openssl rand -base64 32`.
const encryptor = new AesGcmEncryptor({ first: process.env.ATTEMPT_KEY })

/** A call recorded now, in your transaction, and made later by the worker. */
export class PaymentAttempt extends BaseAttempt(db, {
  model: 'PaymentAttempt',
  table: 'payment_attempts',
  targets,
  encryptor,
}) {
  /** Every failed run ends here. The default records the error, retries with backoff, and fails at `maxAttempts`. */
  override async handlePerformError(error: unknown) {
    await super.handlePerformError(error)
  }
}
