import { attemptTask } from '@async-gen/runtime'
import { Attempt } from '../attempt.js'

/** Makes one recorded call. */
export default attemptTask(Attempt)
