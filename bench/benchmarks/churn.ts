import { openConnection } from '../connection.js'
import type { BenchContext } from '../context.js'
import { queues } from '../queues/index.js'
import type { Queue } from '../queues/queue.js'
import { startWorker } from '../queues/workers.js'
import type { Table } from '../result.js'
import { rate, time } from '../rounds.js'
import { median } from '../statistics.js'

/** A call a second, for a day. */
const CALLS = 86_400

/** How many calls are recorded together, and have ended before the next ones are recorded. */
const PAGE = 400

const CONCURRENCY = 50

/** A queue is given up after this many milliseconds. */
const LIMIT = 100_000

/** How a queue slows down while a transaction stays open, so that PostgreSQL cannot remove what the queue has deleted and updated. */
export async function churn(context: BenchContext): Promise<Table[]> {
  const pages = Math.floor((context.short ? 1600 : CALLS) / PAGE)
  const rows = []
  for (const queue of queues)
    rows.push({ name: queue.name, values: await churnOf(queue, await context.database(), pages) })
  return [
    {
      id: 'churn',
      title: 'A day of calls beside an open transaction',
      method: `${(pages * PAGE).toLocaleString('en')} calls (one a second for a day) are recorded and run in batches of ${PAGE} by one worker, as fast as it can, or for ${LIMIT / 1000} s. A transaction stays open all the time.`,
      columns: [
        { key: 'first', title: 'calls a second, first tenth', digits: 0 },
        { key: 'last', title: 'calls a second, last tenth', digits: 0 },
        { key: 'calls', title: 'calls in all', digits: 0 },
        { key: 'size', title: 'MB of tables and indexes', digits: 0 },
      ],
      rows,
    },
  ]
}

async function churnOf(queue: Queue, url: string, pages: number): Promise<Record<string, number[]>> {
  const [client, old] = [await openConnection(url), await openConnection(url)]
  const open = await queue.open(url)
  const worker = await startWorker(queue, url, { purpose: 'throughput', concurrency: CONCURRENCY })
  const page = Array.from({ length: PAGE }, (_, i) => [i, 1])
  try {
    await old.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class')
    const rates: number[] = []
    const end = performance.now() + LIMIT
    while (rates.length < pages && performance.now() < end) {
      const took = await time(async () => {
        await open.record(client, 'add', page)
        while (!(await open.isEmpty(client))) await new Promise((resolve) => setTimeout(resolve, 2))
      })
      rates.push(rate(PAGE, took))
    }
    const tenth = Math.max(1, Math.floor(rates.length / 10))
    const { rows } = await client.query('SELECT pg_database_size(current_database()) / 1048576.0 AS size')
    return {
      first: [median(rates.slice(0, tenth))],
      last: [median(rates.slice(-tenth))],
      calls: [rates.length * PAGE],
      size: [Number(rows[0].size)],
    }
  } finally {
    await worker.kill('SIGKILL')
    await open.close()
    await Promise.all([client.end(), old.end()])
  }
}
