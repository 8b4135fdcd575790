import { attemptTask } from '@async-gen/runtime'
import { PaymentAttempt } from '../payment_attempt.js'

/** Makes one recorded call. */
export default attemptTask(PaymentAttempt)
