import type { Task } from 'graphile-worker'
import { holdUntilReleased } from '../effects.js'

/** A task that the host wrote for Graphile Worker, without anything of ours. */
const ownJob: Task = async (payload) => {
  if ((payload as { fail?: boolean }).fail) throw new Error('A job of your own failed')
  await holdUntilReleased('own job')
}

export default ownJob
