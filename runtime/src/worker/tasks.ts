import { readdir } from 'node:fs/promises'
import type { JobHelpers, TaskList } from 'graphile-worker'
import { checkTargets } from '../attempt/tasks.js'
import { AsyncGenError } from '../core/errors.js'
import { doesInstrumentItself, instrument } from '../telemetry/instrument.js'
import type { OperationEvent } from '../telemetry/operation.js'
import { loadGraphile } from './graphile-module.js'

/** A job that runs in this process. */
export interface RunningJob {
  /** The Graphile Worker job's id. */
  id: string
  task: string
  /** A value of `performance.now()`. */
  started: number
}

/**
 * Loads the tasks of a folder with Graphile Worker, each named as its file; or returns the given tasks. Loads the targets of attempts too.
 * @throws AsyncGenError NO_TASKS if there are none, and what the modules of the targets throw
 */
export async function loadTasks(given: string | TaskList): Promise<TaskList> {
  const tasks = typeof given === 'string' ? await tasksIn(given) : given
  await checkTargets(Object.values(tasks).filter((task) => task !== undefined))
  if (Object.keys(tasks).length > 0) return tasks
  throw noTasks(
    typeof given === 'string' ? `The folder ${given} has no tasks.` : 'The option tasks is an empty object.',
  )
}

async function tasksIn(folder: string): Promise<TaskList> {
  const fileExtensions = await extensionsIn(folder).catch((error: Error) => {
    throw noTasks(`The folder of tasks cannot be read: ${error.message}.`, error)
  })
  const { getTasks, WorkerPreset } = await loadGraphile()
  const preset = { extends: [WorkerPreset], worker: { fileExtensions } }
  return (await getTasks({ preset }, folder)).tasks
}

function noTasks(problem: string, cause?: Error): AsyncGenError {
  return new AsyncGenError(
    'NO_TASKS',
    `${problem} The option tasks of runWorker names a folder with a file for each task. ` +
      'For a bundled worker, pass the tasks by name: runWorker(db, { tasks: { attempt, refresh_toast } }).',
    { cause },
  )
}

/**
 * Wraps tasks: their jobs get the abort signal of the worker, are listed in these sets while they run, and emit events.
 * @param running sets of running jobs, to be kept up to date
 */
export function watchTasks(tasks: TaskList, running: Set<RunningJob>[], signal: AbortSignal): TaskList {
  const abortPromise = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  abortPromise.catch(() => {})
  const watched = Object.entries(tasks).map(([name, task]) => [
    name,
    async (payload: unknown, helpers: JobHelpers) => {
      // A runner whose session is lost may fetch jobs until it has ended. It would abort a run at once, and the row would count that run.
      // Graphile Worker tries the job again, in the next runner. A job of the host may have no other try.
      if (signal.aborted && doesInstrumentItself(task!)) throw signal.reason
      const job: RunningJob = { id: helpers.job.id, task: name, started: performance.now() }
      for (const jobs of running) jobs.add(job)
      try {
        // Graphile Worker's own signal does not abort when the session is lost, nor at a second SIGTERM.
        const overrides = { abortSignal: { value: signal }, abortPromise: { value: abortPromise } }
        const run = async () => await task!(payload, Object.create(helpers, overrides))
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

/** TypeScript files are tasks only in a folder without JavaScript: a folder of built files also has declarations, which are not tasks. */
async function extensionsIn(folder: string): Promise<string[]> {
  const javascript = ['.js', '.mjs', '.cjs']
  const files = await readdir(folder)
  const built = files.some((file) => javascript.some((extension) => file.endsWith(extension)))
  return built ? javascript : ['.ts', '.mts', '.cts']
}
