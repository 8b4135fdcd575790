import { report, wallClock } from '../application.js'
import { peer } from '../peer.js'
import type { Method, Purpose, Queue } from './queue.js'

interface Job {
  id: string
  data: { args: [number] }
}

const METHODS: Method[] = ['add', 'stamp', 'hold']

const UNFINISHED = `SELECT FROM pgboss.job WHERE state < 'completed' LIMIT 1`

/** The shortest heartbeat that pg-boss allows, in seconds. */
const HEARTBEAT = 10

export const pgBoss: Queue = {
  name: 'pg-boss',
  settings:
    '`batchSize: 250, perJobResults: true, burstWhenBatchFull: true` for throughput; `useListenNotify`, `notify` for latency ' +
    '([workers](https://pgboss.io/api/workers)); `heartbeatSeconds: 10`, its shortest, with a check once a second for recovery ' +
    '([queues](https://pgboss.io/api/queues))',
  open: async (url) => {
    const boss = await start(url, { supervise: false, schedule: false })
    await boss.createQueue('add')
    await boss.createQueue('stamp', { notify: true })
    await boss.createQueue('hold', { notify: true, heartbeatSeconds: HEARTBEAT })
    return {
      record: async (client, method, args) => {
        const db = { executeSql: (text: string, values?: unknown[]) => client.query(text, values) }
        await boss.insert(
          method,
          args.map((list) => ({ data: { args: list } })),
          { db },
        )
      },
      isEmpty: async (client) => (await client.query(UNFINISHED)).rowCount === 0,
      close: () => boss.stop({ graceful: false }),
    }
  },
  work: async (url, { purpose, concurrency }) => {
    const boss = await start(url, {
      useListenNotify: purpose === 'latency',
      monitorIntervalSeconds: 1,
      superviseIntervalSeconds: 1,
    })
    for (const method of METHODS) await boss.work(method, workSettings(purpose, concurrency), handlers[method])
  },
}

/** Opens pg-boss, which creates its schema where it is missing. */
// biome-ignore lint/suspicious/noExplicitAny: peers are not installed when types are checked
export async function start(url: string, options: object): Promise<any> {
  const { PgBoss } = await peer('pg-boss')
  const boss = new PgBoss({ connectionString: url, max: 12, ...options })
  boss.on('error', () => {})
  return await boss.start()
}

function workSettings(purpose: Purpose, concurrency: number) {
  if (purpose === 'throughput') return BATCHING
  return { localConcurrency: concurrency, pollingIntervalSeconds: purpose === 'latency' ? 0.5 : 2 }
}

/** The settings of pg-boss for many short jobs whose results are stored. */
export const BATCHING = { batchSize: 250, perJobResults: true, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 }

const handlers = {
  add: async (jobs: Job[]) => jobs.map(({ id }) => ({ id, status: 'completed', output: { sum: 1 } })),
  stamp: async (jobs: Job[]) => {
    for (const { data } of jobs) report({ call: data.args[0], at: wallClock() })
  },
  hold: async ([job]: Job[]) => {
    report({ call: job!.data.args[0], at: wallClock() })
    await new Promise((resolve) => setTimeout(resolve, 3_600_000))
  },
}
