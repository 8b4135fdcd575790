import { test as base, inject, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { REPOSITORY } from '../support/host.js'
import { createDatabase, query } from '../support/postgres.js'
import { bundled } from '../support/programs.js'
import { startWorker, type WorkerProcess } from '../support/worker.js'

// Such tests wait most of the time, for timers that are counted in seconds: they all run at once, each in a database of its own.
vi.setConfig({ testTimeout: 400_000, maxConcurrency: 12 })

/** How long to wait for anything, in milliseconds: the machine may be busy. */
export const WITHIN = 150_000

export interface Place {
  sql: (text: string, parameters?: unknown[]) => ReturnType<typeof query>
  /** Starts a worker with its health endpoints, and four slots by default. Waits until it is ready, unless told otherwise. */
  start: (options?: { until?: 'ready' | 'started' | 'process'; slots?: number }) => Promise<Started>
  /** Records so many calls, due now or after an interval. */
  record: (calls: number, later?: string) => Promise<void>
  /** Waits until all calls have succeeded. */
  allSucceeded: () => Promise<void>
  /** Waits until Graphile Worker has no jobs. */
  queueIsEmpty: () => Promise<void>
}

interface Started extends WorkerProcess {
  status: () => Promise<string>
  metrics: () => Promise<string>
  /** The last line that it has logged as JSON. */
  lastEntry: () => unknown
}

export const it = base.extend<{ place: Place }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
  place: async ({}, use) => {
    const url = await createDatabase(inject('postgres'), { template: 'template' })
    const workers: WorkerProcess[] = []
    const sql: Place['sql'] = (text, parameters) => query(url, text, parameters)
    await sql('CREATE TABLE effects (id serial, what text, pid int, at timestamptz DEFAULT clock_timestamp())')
    await use({
      sql,
      start: async ({ until = 'ready', slots = 4 } = {}) => {
        const env = { DATABASE_URL: url, ASYNC_WORKER_HEALTH: '0', ASYNC_WORKER_CONCURRENCY: String(slots) }
        const worker = startWorker(REPOSITORY, env, bundled('test/chaos/host/worker.ts'))
        workers.push(worker)
        const address = () =>
          eventually('the address', async () => /"health":"([^"]+)"/.exec(worker.log())?.[1], WITHIN)
        const get = async (path: string) => await fetch(`http://${await address()}${path}`)
        const status = async () => {
          const response = await get('/readyz')
          return `${response.status} ${(await response.text()).trim()}`
        }
        if (until === 'ready') await eventually('its readiness', async () => (await status()) === '200 ok', WITHIN)
        if (until === 'started') await address()
        return {
          ...worker,
          status,
          metrics: async () => await (await get('/metrics')).text(),
          lastEntry: () =>
            JSON.parse(
              worker
                .log()
                .match(/^\{.*\}$/gm)!
                .at(-1)!,
            ),
        }
      },
      record: async (calls, later = '0') => {
        const text = `
          INSERT INTO attempts (target, method, args, scheduled_at)
          SELECT 'Probe', 'plain', jsonb_build_array('call ' || i), now() + $2::interval FROM generate_series(1, $1::int) AS i`
        await sql(text, [calls, later])
      },
      allSucceeded: async () => {
        const left = async () =>
          await sql(`SELECT status, count(*)::int FROM attempts WHERE status <> 'succeeded' GROUP BY 1`)
        await eventually('the success of all calls', async () => (await left()).length === 0, WITHIN).catch(
          async (error) => {
            throw new Error(
              `${error.message}\n${JSON.stringify(await left())}\n${workers.map(({ log }) => log()).join('\n')}`,
            )
          },
        )
      },
      queueIsEmpty: async () => {
        const jobs = async () => await sql('SELECT FROM graphile_worker.jobs')
        await eventually('an empty queue', async () => (await jobs()).length === 0, WITHIN)
      },
    })
    for (const worker of workers) worker.kill('SIGKILL')
    await Promise.all(workers.map(({ exited }) => exited))
  },
})
