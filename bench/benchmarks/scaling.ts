import { setTimeout as sleep } from 'node:timers/promises'
import { openConnection } from '../connection.js'
import type { BenchContext } from '../context.js'
import { queues } from '../queues/index.js'
import type { Queue } from '../queues/queue.js'
import { startWorker } from '../queues/workers.js'
import type { Row, Table } from '../result.js'
import { addValues, rate } from '../rounds.js'

const WORKERS = [1, 2, 4]

const CONCURRENCY = 50

/** How many calls a second 1, 2 and 4 worker processes run, which wait for calls when these are recorded. */
export async function scaling(context: BenchContext): Promise<Table[]> {
  const count = context.short ? 500 : 20_000
  const rounds = context.short ? 1 : 3
  const rows: Row[] = queues.map(({ name }) => ({ name, values: {} }))
  for (const workers of context.short ? [1, 2] : WORKERS) {
    for (let round = 0; round < rounds; round++) {
      for (const [i, queue] of queues.entries()) {
        const took = await runAll(queue, await context.database(), { workers, count })
        addValues(rows[i]!, { [`workers${workers}`]: rate(count, took) })
      }
    }
  }
  return [
    {
      id: 'scaling',
      title: 'One, two and four workers',
      method: `Worker processes that wait run ${count.toLocaleString('en')} calls, recorded in one transaction. All of them share the cores with PostgreSQL.`,
      columns: WORKERS.map((workers) => ({
        key: `workers${workers}`,
        title: `calls a second, ${workers} ${workers === 1 ? 'worker' : 'workers'}`,
        digits: 0,
      })),
      rows,
    },
  ]
}

/** Returns how many milliseconds it takes from the commit until all calls have ended. */
async function runAll(queue: Queue, url: string, { workers, count }: { workers: number; count: number }) {
  const client = await openConnection(url)
  const open = await queue.open(url)
  const processes = await Promise.all(
    Array.from({ length: workers }, () => startWorker(queue, url, { purpose: 'throughput', concurrency: CONCURRENCY })),
  )
  try {
    await client.query('BEGIN')
    await open.record(
      client,
      'add',
      Array.from({ length: count }, (_, i) => [i, 1]),
    )
    await client.query('COMMIT')
    const started = performance.now()
    while (!(await open.isEmpty(client))) await sleep(10)
    return performance.now() - started
  } finally {
    await Promise.all(processes.map((worker) => worker.kill('SIGKILL')))
    await open.close()
    await client.end()
  }
}
