import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { query } from '../../test/support/postgres.js'
import { openConnection } from '../connection.js'
import { type BenchContext, openContext } from '../context.js'
import { queues } from '../queues/index.js'
import type { Queue } from '../queues/queue.js'
import { startWorker } from '../queues/workers.js'
import type { Row, Table } from '../result.js'
import { repeat, together } from '../rounds.js'

const CONCURRENCY = 10

/** How many calls a second a busy worker runs. */
const LOAD = 20

/** Its statements are not counted: they are those of the application. */
const APPLICATION = 'application'

/** What a worker costs with the defaults of its queue: memory, statements, time of the processor. All workers run at the same time. */
export async function idle({ short, say }: BenchContext): Promise<Table[]> {
  const minutes = short ? 0.1 : 10
  // A server of its own: the others do not count statements, which costs a little.
  const { context, server, close } = await openContext(short, { shared_preload_libraries: 'pg_stat_statements' })
  try {
    say(`  for ${minutes} minutes`)
    await query(server.url, `CREATE ROLE ${APPLICATION} SUPERUSER LOGIN PASSWORD '${APPLICATION}'`)
    const rows = await together(
      [0, LOAD].flatMap((load) => queues.map((queue) => costsOf(queue, context, load, minutes * 60))),
    )
    return [
      {
        id: 'idle',
        title: 'An idle worker and a busy one',
        method: `Worker processes with ${CONCURRENCY} slots and the defaults of their queue for ${minutes} minutes, idle or with ${LOAD} calls a second. Memory is the resident set, once a second.`,
        columns: [
          { key: 'queries', title: 'statements a second', digits: 1 },
          { key: 'memory', title: 'MB', digits: 0 },
          { key: 'cpu', title: '% of a core', digits: 1 },
        ],
        rows,
      },
    ]
  } finally {
    await close()
  }
}

async function costsOf(queue: Queue, context: BenchContext, load: number, seconds: number): Promise<Row> {
  const url = await context.database()
  const client = await openConnection(url)
  await client.query('CREATE EXTENSION pg_stat_statements')
  const loader = await openConnection(asApplication(url))
  const open = await queue.open(url)
  const worker = await startWorker(queue, url, { purpose: 'defaults', concurrency: CONCURRENCY })
  try {
    // What it does when it starts is not counted.
    await sleep(context.short ? 2000 : 15_000)
    const [statements, cpu] = [await countStatements(client), cpuTime(worker.pid)]
    const started = performance.now()
    const memory: number[] = []
    await repeat(seconds, async () => {
      const next = performance.now() + 1000
      for (let call = 0; call < load; call++) await open.record(loader, 'add', [[call, 1]])
      memory.push(residentMemory(worker.pid))
      await sleep(Math.max(0, next - performance.now()))
    })
    const took = (performance.now() - started) / 1000
    return {
      name: load === 0 ? `${queue.name}, idle` : `${queue.name}, busy`,
      values: {
        queries: [((await countStatements(client)) - statements) / took],
        memory,
        cpu: [(100 * (cpuTime(worker.pid) - cpu)) / took],
      },
    }
  } finally {
    await worker.kill('SIGKILL')
    await open.close()
    await Promise.all([client.end(), loader.end()])
  }
}

function asApplication(url: string): string {
  const address = new URL(url)
  address.username = APPLICATION
  address.password = APPLICATION
  return address.href
}

async function countStatements(client: pg.Client): Promise<number> {
  const { rows } = await client.query(`
    SELECT sum(calls)::int AS count
    FROM pg_stat_statements
    JOIN pg_database ON pg_database.oid = dbid
    WHERE datname = current_database() AND userid::regrole::text <> '${APPLICATION}' AND query NOT LIKE '%pg_stat_statements%'`)
  return rows[0].count
}

/** Megabytes. */
function residentMemory(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024
}

/** Seconds of the processor that a process has used. */
function cpuTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  // utime and stime, in hundredths of a second.
  return (Number(fields[11]) + Number(fields[12])) / 100
}
