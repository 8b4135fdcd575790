import { attemptTask } from '@async-gen/runtime'
import { Attempt } from '../attempt.js'

export default attemptTask(Attempt)
