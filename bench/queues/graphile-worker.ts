import { Logger, run, runOnce, type TaskList, WorkerPreset } from 'graphile-worker'
import type pg from 'pg'
import { report, wallClock } from '../application.js'
import type { Purpose, Queue } from './queue.js'

const ADD_JOBS = `
  SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(
    SELECT ($1, jsonb_build_object('args', args)::json, NULL, now(), NULL, NULL, 0, NULL)::graphile_worker.job_spec
    FROM jsonb_array_elements($2) AS args
  ))`

const ADD_NOOPS = `
  SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(
    SELECT ('noop', '{}', NULL, now(), NULL, NULL, 0, NULL)::graphile_worker.job_spec FROM generate_series(1, $1)
  ))`

export const quietLogger = new Logger(() => () => {})

/** Adds jobs of the task `noop`. */
export async function addNoops(client: pg.Client | pg.Pool, count: number): Promise<void> {
  await client.query(ADD_NOOPS, [count])
}

/** Runs all jobs that are due, as `runWorker` does with `prefetch`. */
export async function runDue(pgPool: pg.Pool, taskList: TaskList, concurrency: number): Promise<void> {
  await runOnce({
    pgPool,
    taskList,
    concurrency,
    noHandleSignals: true,
    logger: quietLogger,
    preset: { extends: [WorkerPreset], worker: BATCHING },
  })
}

const tasks: TaskList = {
  add: async () => {},
  stamp: async (payload) => report({ call: callOf(payload), at: wallClock() }),
  hold: async (payload) => {
    report({ call: callOf(payload), at: wallClock() })
    await new Promise((resolve) => setTimeout(resolve, 3_600_000))
  },
}

/** The settings of Graphile Worker for many short jobs. */
export const BATCHING = { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 }

export const graphileWorker: Queue = {
  name: 'Graphile Worker',
  settings:
    '`localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0` for throughput ' +
    '([performance](https://worker.graphile.org/docs/performance)); else its defaults. It counts a job as lost after 4 hours',
  open: async () => ({
    record: async (client, method, args) => void (await client.query(ADD_JOBS, [method, JSON.stringify(args)])),
    isEmpty: async (client) => (await client.query('SELECT FROM graphile_worker._private_jobs LIMIT 1')).rowCount === 0,
    close: async () => {},
  }),
  work: async (url, { purpose, concurrency }) => {
    await run({
      connectionString: url,
      taskList: tasks,
      concurrency,
      maxPoolSize: 12,
      parsedCronItems: [],
      logger: quietLogger,
      preset: { extends: [WorkerPreset], worker: workerSettings(purpose) },
    })
  },
}

function workerSettings(purpose: Purpose) {
  return purpose === 'throughput' ? BATCHING : {}
}

function callOf(payload: unknown): number {
  return (payload as { args: [number] }).args[0]
}
