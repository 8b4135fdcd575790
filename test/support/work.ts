import { attemptBatchTask, attemptTask } from '@async-gen/runtime'
import { Logger, type RunnerOptions, runOnce, WorkerPreset } from 'graphile-worker'
import { poolOf } from './postgres.js'

/**
 * Runs all jobs of attempts that are due, and those that they add, with Graphile Worker, and waits for their end. Where nothing depends on
 * the queue, `drain` of the test kit does it without jobs.
 */
export function runJobs(url: string, Attempt: Parameters<typeof attemptTask>[0], options: RunnerOptions = {}) {
  const taskList = { attempt: attemptTask(Attempt), attempt_batch: attemptBatchTask(Attempt) }
  return runOnce({
    pgPool: poolOf(url),
    taskList,
    noHandleSignals: true,
    logger: SILENT,
    preset: AS_WORKER,
    ...options,
  })
}

/** Like the worker. Without batches, `runOnce` may end before it has deleted the last job, which then stays locked. */
const AS_WORKER: NonNullable<RunnerOptions['preset']> = {
  extends: [WorkerPreset],
  worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 },
}

const SILENT = new Logger(() => () => {})
