import { setTimeout as sleep } from 'node:timers/promises'
import { type Started, wallClock } from '../application.js'
import { openConnection } from '../connection.js'
import type { BenchContext } from '../context.js'
import { queues } from '../queues/index.js'
import type { Queue } from '../queues/queue.js'
import { startWorker } from '../queues/workers.js'
import type { Row, Table } from '../result.js'
import { together } from '../rounds.js'

const CONCURRENCY = 10

/** How long after `kill -9` of a worker the call that it ran starts again in another worker. */
export async function recovery(context: BenchContext): Promise<Table[]> {
  const limit = context.short ? 10_000 : 45_000
  const rounds = context.short ? 1 : 5
  // All queues at once: they wait most of the time.
  const rows = await together(
    queues.map(async (queue): Promise<Row> => {
      const times: number[] = []
      for (let round = 0; round < rounds; round++) {
        const took = await timeToRestart(queue, await context.database(), limit)
        // The next rounds would wait as long.
        if (took === undefined) break
        times.push(took / 1000)
      }
      const note = times.length === 0 ? `not within ${limit / 1000} s` : undefined
      return { name: queue.name, values: { time: times }, ...(note && { note }) }
    }),
  )
  return [
    {
      id: 'recovery',
      title: 'Recovery after kill -9',
      method:
        'Two workers wait. One of them gets a call and is killed while it runs. The time ends when the call starts in the other one.',
      columns: [{ key: 'time', title: 's until the call starts again', digits: 1 }],
      rows,
    },
  ]
}

/** Milliseconds; undefined if the call has not started again within `limit`. */
async function timeToRestart(queue: Queue, url: string, limit: number): Promise<number | undefined> {
  const open = await queue.open(url)
  const starts: (Started & { worker: number })[] = []
  const options = { purpose: 'latency', concurrency: CONCURRENCY } as const
  const workers = await Promise.all(
    [0, 1].map((worker) => startWorker(queue, url, options, (started) => starts.push({ ...started, worker }))),
  )
  const client = await openConnection(url)
  try {
    await open.record(client, 'hold', [[1]])
    while (starts.length === 0) await sleep(5)
    // So that the moment within the intervals of the other worker differs from round to round.
    await sleep(1000 + Math.random() * 3000)
    const killed = wallClock()
    await workers[starts[0]!.worker]!.kill('SIGKILL')
    while (starts.length === 1 && wallClock() - killed < limit) await sleep(5)
    return starts[1] && starts[1].at - killed
  } finally {
    await Promise.all(workers.map((worker) => worker.kill('SIGKILL')))
    await open.close()
    await client.end()
  }
}
