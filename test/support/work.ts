import { attemptBatchTask, attemptTask } from '@async-gen/runtime'
import { Logger, type RunnerOptions, runOnce } from 'graphile-worker'

/**
 * Runs all jobs of attempts that are due, and those that they add, with Graphile Worker, and waits for their end. Where nothing depends on
 * the queue, `drain` of the test kit does it without jobs.
 */
export function runJobs(url: string, Attempt: Parameters<typeof attemptTask>[0], options: RunnerOptions = {}) {
  const taskList = { attempt: attemptTask(Attempt), attempt_batch: attemptBatchTask(Attempt) }
  return runOnce({ connectionString: url, taskList, noHandleSignals: true, logger: SILENT, ...options })
}

const SILENT = new Logger(() => () => {})
