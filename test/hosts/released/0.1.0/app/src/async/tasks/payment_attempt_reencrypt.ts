import { reencryptTask } from '@async-gen/runtime'
import { PaymentAttempt } from '../payment_attempt.js'

/**
 * Encrypts what older keys have encrypted with the key of today: run it after a rotation. It fails, and is tried again, for
 * as long as older keys are needed; when it has succeeded, drop them.
 */
export default reencryptTask(PaymentAttempt)
