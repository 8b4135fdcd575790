import { setTimeout as sleep } from 'node:timers/promises'
import { defineToast, refreshToastTask } from '@async-gen/runtime'
import { run } from 'graphile-worker'
import { openApplication } from '../application.js'
import { type Cache, caches } from '../caches.js'
import type { BenchContext } from '../context.js'
import { quietLogger } from '../queues/graphile-worker.js'
import type { Row, Table } from '../result.js'
import { together } from '../rounds.js'

/** How often each reader reads, in milliseconds. */
const INTERVAL = 10

/** How often a function that always fails is called, while its stale value is read again and again. */
export async function failing(context: BenchContext): Promise<Table[]> {
  const duration = context.short ? 1000 : 10_000
  const others = Object.entries(caches).filter(([name]) => name !== 'async-gen')
  const rows = await together([
    callsOf('async-gen', duration, async (compute) => await toastWithWorker(await context.database(), compute)),
    ...others.map(([name, make]) =>
      callsOf(name, duration, async (compute) => await make(await context.database(), compute, 1000)),
    ),
  ])
  return [
    {
      id: 'failing',
      title: 'A function that always fails',
      method: `Its value is stale and is read once in ${INTERVAL} ms for ${duration / 1000} s.`,
      columns: [
        { key: 'calls', title: 'calls of the function', digits: 0 },
        { key: 'served', title: '% of reads that got the stale value', digits: 0 },
      ],
      rows,
    },
  ]
}

async function callsOf(
  name: string,
  duration: number,
  make: (compute: () => Promise<unknown>) => Promise<Cache>,
): Promise<Row> {
  let calls = 0
  const cache = await make(async () => {
    if (calls++ === 0) return { oat: 'meal' }
    throw new Error('it fails')
  })
  await cache.read('failing', 1)
  await sleep(1200)
  calls = 1
  const reads: Promise<boolean>[] = []
  for (const end = performance.now() + duration; performance.now() < end; await sleep(INTERVAL)) {
    reads.push(cache.read('failing', 2).then(isValue, () => false))
  }
  const served = (await Promise.all(reads)).filter((isServed) => isServed).length
  const failed = calls - 1
  await cache.close()
  return { name, values: { calls: [failed], served: [(100 * served) / reads.length] } }
}

function isValue(value: unknown): boolean {
  return (value as { oat?: string } | undefined)?.oat === 'meal'
}

/** A toast, and a worker that refreshes it. */
async function toastWithWorker(url: string, compute: () => Promise<unknown>): Promise<Cache> {
  const { db, close } = await openApplication(url)
  const record = { id: 1, updatedAt: new Date(0) }
  const toast = defineToast(db, 'oat.failing', {
    load: async () => record,
    compute: async () => (await compute()) as { oat: string },
  })
  await toast.fresh(record)
  const runner = await run({
    pgPool: db.pool,
    taskList: { refresh_toast: refreshToastTask(db) },
    noHandleSignals: true,
    parsedCronItems: [],
    logger: quietLogger,
  })
  return {
    read: async (_, version) => {
      record.updatedAt = new Date(version)
      return await toast(record)
    },
    close: async () => {
      await runner.stop()
      await close()
    },
  }
}
