import { attemptBatchTask } from '@async-gen/runtime'
import { Attempt } from '../attempt.js'

/** Gives a job to every call that is due and has none: a safety net, since each call gets its job when it is recorded. */
export default attemptBatchTask(Attempt)
