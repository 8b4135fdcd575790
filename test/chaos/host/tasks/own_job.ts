import type { Task } from 'graphile-worker'
import { holdUntilReleased } from '../effects.js'

/** A task that the host wrote for Graphile Worker, without anything of ours. */
const ownJob: Task = async (payload) => {
  const { fail, reject } = payload as { fail?: boolean; reject?: boolean }
  if (fail) throw new Error('A job of your own failed')
  if (reject) Promise.reject(new Error('A promise of your own has no handler'))
  await holdUntilReleased('own job')
}

export default ownJob
