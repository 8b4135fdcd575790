import { readdir } from 'node:fs/promises'
import { getTasks, type JobHelpers, type TaskList, WorkerPreset } from 'graphile-worker'
import { checkTargets } from '../attempt/tasks.js'
import { AsyncGenError } from '../core/errors.js'
import { doesInstrumentItself, instrument } from '../telemetry/instrument.js'
import type { OperationEvent } from '../telemetry/operation.js'

/** A job that has begun and not ended. */
export interface RunningJob {
  /** The Graphile Worker job's id. */
  id: string
  task: string
  /** On the clock of `performance.now()`. */
  started: number
}

/**
 * The tasks of a folder, each called as its file is, loaded by Graphile Worker itself; or the tasks that are given.
 * @throws AsyncGenError NO_TASKS where there are none, and what the targets of attempts throw when they are loaded
 */
export async function loadTasks(given: string | TaskList): Promise<TaskList> {
  const tasks = typeof given === 'string' ? await tasksIn(given) : given
  await checkTargets(Object.values(tasks).filter((task) => task !== undefined))
  if (Object.keys(tasks).length > 0) return tasks
  throw noTasks(typeof given === 'string' ? `There are no tasks in the folder ${given}.` : 'There are no tasks.')
}

async function tasksIn(folder: string): Promise<TaskList> {
  const fileExtensions = await extensionsIn(folder).catch((error: Error) => {
    throw noTasks(`The folder of tasks cannot be read: ${error.message}.`, error)
  })
  const preset = { extends: [WorkerPreset], worker: { fileExtensions } }
  return (await getTasks({ preset }, folder)).tasks
}

function noTasks(what: string, cause?: Error): AsyncGenError {
  return new AsyncGenError(
    'NO_TASKS',
    `${what} The option tasks of runWorker names a folder with a file for each task. ` +
      'Where the worker is bundled, give it the tasks themselves: runWorker(db, { tasks: { attempt, refresh_toast } }).',
    { cause },
  )
}

/** The same tasks, with an abort signal of ours, and with their running jobs in these sets. */
export function watchTasks(tasks: TaskList, running: Set<RunningJob>[], signal: AbortSignal): TaskList {
  const abortPromise = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  abortPromise.catch(() => {})
  const watched = Object.entries(tasks).map(([name, task]) => [
    name,
    async (payload: unknown, helpers: JobHelpers) => {
      const job: RunningJob = { id: helpers.job.id, task: name, started: performance.now() }
      for (const jobs of running) jobs.add(job)
      try {
        // Graphile Worker's own signal knows nothing of a lost session, nor of a second SIGTERM.
        const ours = { abortSignal: { value: signal }, abortPromise: { value: abortPromise } }
        const run = async () => await task!(payload, Object.create(helpers, ours))
        return await (doesInstrumentItself(task!) ? run() : instrumentJob(name, helpers, run))
      } finally {
        for (const jobs of running) jobs.delete(job)
      }
    },
  ])
  return Object.fromEntries(watched)
}

function instrumentJob(task: string, { job }: JobHelpers, run: () => Promise<unknown>): Promise<unknown> {
  const event: OperationEvent = { type: 'Job', id: job.id, name: task, run: job.attempts }
  return instrument('job', event, () =>
    run().catch((error) => {
      event.outcome = job.attempts < job.max_attempts ? 'retried' : 'failed'
      throw error
    }),
  )
}

/** A folder of sources is run as TypeScript (by tsx, say); a folder that was built holds declarations too, which are no tasks. */
async function extensionsIn(folder: string): Promise<string[]> {
  const javascript = ['.js', '.mjs', '.cjs']
  const files = await readdir(folder)
  const built = files.some((file) => javascript.some((extension) => file.endsWith(extension)))
  return built ? javascript : ['.ts', '.mts', '.cts']
}
