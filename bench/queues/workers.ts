import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Started } from '../application.js'
import { startProgram } from '../programs.js'
import type { Queue, WorkerOptions } from './queue.js'

export interface WorkerProcess {
  pid: number
  /** Ends it with a signal, and waits for its end. */
  kill(signal: NodeJS.Signals): Promise<void>
}

/** Starts a worker as a process of its own, and waits until it takes calls. */
export async function startWorker(
  queue: Queue,
  url: string,
  options: WorkerOptions,
  onStarted: (started: Started) => void = () => {},
): Promise<WorkerProcess> {
  const child = await startProgram('worker', [queue.name, url, JSON.stringify(options)])
  const killed = () => child.kill('SIGKILL')
  process.once('exit', killed)
  const exited = once(child, 'exit').then(() => process.off('exit', killed))
  child.on('message', (message) => {
    if (message !== 'ready') onStarted(message as Started)
  })
  await Promise.race([
    isReady(child),
    exited.then(() => Promise.reject(new Error(`The worker of ${queue.name} ended`))),
  ])
  return {
    pid: child.pid!,
    kill: async (signal) => {
      child.kill(signal)
      await exited
    },
  }
}

function isReady(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.on('message', (message) => {
      if (message === 'ready') resolve()
    })
  })
}
