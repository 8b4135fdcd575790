import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { wallClock } from '../application.js'
import { openConnection } from '../connection.js'
import type { BenchContext } from '../context.js'
import { queues } from '../queues/index.js'
import type { Method, OpenQueue, Queue } from '../queues/queue.js'
import { startWorker } from '../queues/workers.js'
import type { Column, Row, Table } from '../result.js'
import { addValues } from '../rounds.js'
import { percentile } from '../statistics.js'

const CONCURRENCY = 10

/** Calls before those that are measured. */
const WARM_UP = 20

/** How many other calls a second a loaded worker runs. */
const LOAD = 200

/** How long it takes from the COMMIT that records a call until the call starts in a worker process. */
export async function latency(context: BenchContext): Promise<Table[]> {
  const calls = context.short ? 15 : 200
  const rounds = context.short ? 1 : 3
  const rows: Row[] = queues.map(({ name }) => ({ name, values: {} }))
  for (let round = 0; round < rounds; round++) {
    for (const [i, queue] of queues.entries()) {
      for (const [state, load] of [
        ['idle', 0],
        ['loaded', LOAD],
      ] as const) {
        const times = await timesToStart(queue, await context.database(), calls, load)
        for (const p of [50, 95, 99]) addValues(rows[i]!, { [`${state}${p}`]: percentile(times, p) })
      }
    }
  }
  const columns = (state: string, title: string): Column[] =>
    [50, 95, 99].map((p) => ({ key: `${state}${p}`, title: `${title} p${p}, ms`, digits: 1 }))
  return [
    {
      id: 'latency',
      title: 'From the commit to the start of a call',
      method: `A process records ${calls} calls, one each 20 to 60 ms. Another one is a worker with ${CONCURRENCY} slots: idle, or with ${LOAD} other calls a second. The time begins when COMMIT is sent.`,
      columns: [...columns('idle', 'idle,'), ...columns('loaded', 'loaded,')],
      rows,
    },
  ]
}

async function timesToStart(queue: Queue, url: string, calls: number, load: number): Promise<number[]> {
  const open = await queue.open(url)
  const started = new Map<number, number>()
  const worker = await startWorker(queue, url, { purpose: 'latency', concurrency: CONCURRENCY }, ({ call, at }) =>
    started.set(call, at),
  )
  const [client, loader] = [await openConnection(url), await openConnection(url)]
  const end = new AbortController()
  try {
    const loading = keepLoaded(open, loader, load, end.signal)
    await sleep(500)
    const committed: number[] = []
    for (let call = 0; call < WARM_UP + calls; call++) {
      committed.push(await commit(open, client, 'stamp', [call]))
      await sleep(20 + Math.random() * 40)
    }
    for (let tries = 0; started.size < committed.length && tries < 600; tries++) await sleep(50)
    end.abort()
    await loading
    return committed.map((time, call) => (started.get(call) ?? Number.POSITIVE_INFINITY) - time).slice(WARM_UP)
  } finally {
    end.abort()
    await worker.kill('SIGKILL')
    await open.close()
    await Promise.all([client.end(), loader.end()])
  }
}

/** Records a call in a transaction of its own, and returns the time just before its COMMIT. */
async function commit(open: OpenQueue, client: pg.Client, method: Method, args: unknown[]): Promise<number> {
  await client.query('BEGIN')
  await open.record(client, method, [args])
  const at = wallClock()
  await client.query('COMMIT')
  return at
}

async function keepLoaded(open: OpenQueue, client: pg.Client, load: number, end: AbortSignal): Promise<void> {
  if (load === 0) return
  while (!end.aborted) {
    await commit(open, client, 'add', [1, 2])
    await sleep(1000 / load)
  }
}
