import type { Task } from 'graphile-worker'
import { holdUntilReleased } from '../effects.js'

/** A task that the host wrote for Graphile Worker, without anything of ours. */
const ownJob: Task = async () => {
  await holdUntilReleased('own job')
}

export default ownJob
