import { EventEmitter } from 'node:events'
import type { Task } from 'graphile-worker'
import { holdUntilReleased } from '../effects.js'

/** A task that the host wrote for Graphile Worker, without anything of ours. */
const ownJob: Task = async (payload) => {
  const { fail, reject, lose } = payload as { fail?: boolean; reject?: boolean; lose?: boolean }
  if (fail) throw new Error('A job of your own failed')
  if (reject) Promise.reject(new Error('A promise of your own has no handler'))
  // As pg does it with a connection that has no listener.
  if (lose)
    setImmediate(() => new EventEmitter().emit('error', Object.assign(new Error('ended'), { severity: 'FATAL' })))
  await holdUntilReleased('own job')
}

export default ownJob
