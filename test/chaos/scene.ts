import { afterEach, vi } from 'vitest'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { REPOSITORY } from '../support/host.js'
import { query } from '../support/postgres.js'
import { bundled } from '../support/programs.js'
import { startWorker, type WorkerProcess } from '../support/worker.js'

// Processes that start processes take their time on a busy machine.
vi.setConfig({ testTimeout: 180_000 })

export const url = await testDatabase()

const env = { DATABASE_URL: url }

/** What the calls of test/chaos/host have done, in this order. */
export interface Effect {
  what: string
  pid: number
  at: Date
}

export const sql = (text: string, parameters: unknown[] = []) => query(url, text, parameters)

let workers: WorkerProcess[] = []

await sql('CREATE TABLE effects (id serial, what text, pid int, at timestamptz DEFAULT clock_timestamp())')

afterEach(async () => {
  for (const worker of workers) worker.kill('SIGKILL')
  await Promise.all(workers.map(({ exited }) => exited))
  workers = []
  // TRUNCATE makes new files for all tables and indexes, which takes ten times as long.
  await sql(`
    DELETE FROM effects; DELETE FROM attempts; DELETE FROM toasts; DELETE FROM reports; DELETE FROM async_workers;
    DELETE FROM async_pauses; DELETE FROM graphile_worker._private_jobs`)
})

/** Starts a worker of test/chaos/host, and waits until others can see it, unless told not to. It is gone after the test. */
export async function worker(
  settings: Record<string, string> = {},
  { visible = true, file = 'worker.ts', within = [] }: { visible?: boolean; file?: string; within?: string[] } = {},
): Promise<WorkerProcess> {
  const started = startWorker(REPOSITORY, { ...env, ...settings }, bundled(`test/chaos/host/${file}`), within)
  workers.push(started)
  if (!visible) return started
  await eventually('the worker', async () => {
    const rows = await sql('SELECT FROM async_workers WHERE pid = $1 AND pool_id IS NOT NULL', [started.pid])
    return rows.length > 0
  }).catch((error) => {
    throw new Error(`${error.message} Its log:\n${started.log()}`)
  })
  return started
}

export async function effects(): Promise<Effect[]> {
  return await sql('SELECT what, pid, at FROM effects ORDER BY id')
}

/** The first effect of that kind, once there is one. */
export async function effect(what: string, by?: WorkerProcess, timeout?: number): Promise<Effect> {
  const found = async () => (await effects()).find((each) => each.what === what && (!by || each.pid === by.pid))
  return await eventually(what, found, timeout)
}

/** Lets everything end that holds. */
export async function release(): Promise<void> {
  await sql(`INSERT INTO effects (what) VALUES ('released')`)
}
