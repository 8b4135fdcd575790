import { attemptTask } from '@async-gen/runtime'
import type { TaskList } from 'graphile-worker'
import pg from 'pg'
import { openApplication } from '../application.js'
import type { BenchContext } from '../context.js'
import { addNoops, runDue } from '../queues/graphile-worker.js'
import { BATCHING as PG_BOSS_BATCHING, start } from '../queues/pg-boss.js'
import type { Table } from '../result.js'
import { alternate, rate, time } from '../rounds.js'

/** As many as the batches of pg-boss hold. */
const CONCURRENCY = 250

/** More would only wait for a connection. */
const CONCURRENT_TRANSACTIONS = 100

const BARE_JOBS = 'Graphile Worker: jobs that do nothing and keep nothing'
const BARE_TRANSACTIONS = 'bare transactions of Prisma: an order, and an update of a row'

/** How many calls a second one process runs that are due already. */
export async function running({ short, database }: BenchContext): Promise<Table[]> {
  const url = await database()
  const { prisma, db, Attempt, Work, close } = await openApplication(url)
  const pool = new pg.Pool({ connectionString: url, max: 12 }).on('error', () => {})
  const boss = await start(url, {})
  await boss.createQueue('add')
  const clear = () => pool.query('TRUNCATE attempts, "Order", graphile_worker._private_jobs, pgboss.job CASCADE')

  const drain = (tasks: TaskList, concurrency: number) => time(() => runDue(db.pool, tasks, concurrency))
  const requireSucceeded = async (count: number) => {
    const succeeded = await Attempt.count({ status: 'succeeded' })
    if (succeeded !== count) throw new Error(`${succeeded} of ${count} attempts succeeded`)
  }
  const count = short ? 500 : 10_000
  const transactions = short ? 100 : 2000
  let orders = 0

  try {
    const plain = await alternate(
      [
        {
          name: BARE_JOBS,
          round: async () => {
            await clear()
            await addNoops(pool, count)
            return { rate: rate(count, await drain({ noop: async () => {} }, CONCURRENCY)) }
          },
        },
        {
          name: 'async-gen: calls, their results stored',
          round: async () => {
            await clear()
            await Attempt.createMany(
              Array.from({ length: count }, (_, i) => ({ target: Work, method: 'add', args: [i, 1] })),
            )
            const took = await drain({ attempt: attemptTask(Attempt) }, CONCURRENCY)
            await requireSucceeded(count)
            return { rate: rate(count, took) }
          },
        },
        {
          name: 'pg-boss: jobs in batches, their results stored',
          round: async () => {
            await clear()
            await boss.insert(
              'add',
              Array.from({ length: count }, (_, i) => ({ data: { i } })),
            )
            const took = await time(() => workOff(boss, pool, { ...PG_BOSS_BATCHING, localConcurrency: 4 }))
            return { rate: rate(count, took) }
          },
        },
        {
          name: `pg-boss, job by job: fetched ${CONCURRENCY} at a time, each completed by itself`,
          round: async () => {
            await clear()
            const jobs = short ? 100 : 2000
            await boss.insert(
              'add',
              Array.from({ length: jobs }, (_, i) => ({ data: { i } })),
            )
            return { rate: rate(jobs, await time(() => completeEach(boss, jobs))) }
          },
        },
      ],
      short ? 1 : 7,
    )
    const transactional = await alternate(
      [
        {
          name: BARE_TRANSACTIONS,
          round: async () => {
            await clear()
            await Attempt.createMany(
              Array.from({ length: transactions }, (_, i) => ({ target: Work, method: 'order', args: [i] })),
            )
            const ids = (await pool.query<{ id: string }>('SELECT id FROM attempts')).rows.map(({ id }) => id)
            const took = await time(() =>
              concurrently(ids, (id) =>
                prisma.$transaction(async (tx) => {
                  await tx.order.create({ data: { number: ++orders, customerToken: 'tok' } })
                  await tx.$queryRawUnsafe(
                    `UPDATE attempts SET status = 'succeeded', result = '1' WHERE id = $1::bigint RETURNING id`,
                    id,
                  )
                }),
              ),
            )
            return { rate: rate(transactions, took) }
          },
        },
        {
          name: 'async-gen: calls that use their transaction',
          round: async () => {
            await clear()
            await Attempt.createMany(
              Array.from({ length: transactions }, () => ({ target: Work, method: 'order', args: [++orders] })),
            )
            const took = await drain({ attempt: attemptTask(Attempt) }, CONCURRENT_TRANSACTIONS)
            await requireSucceeded(transactions)
            return { rate: rate(transactions, took) }
          },
        },
      ],
      short ? 1 : 7,
    )
    return [
      {
        id: 'running',
        title: 'Running calls',
        method: `${count.toLocaleString('en')} calls that are due, ${CONCURRENCY} at a time, in one process. pg-boss job by job runs a fifth of them.`,
        columns: [{ key: 'rate', title: 'calls a second', digits: 0, hasRatio: true }],
        rows: plain,
        base: BARE_JOBS,
      },
      {
        id: 'transactions',
        title: 'Running calls that use their transaction',
        method: `${transactions.toLocaleString('en')} calls, each of which creates an order in the transaction of its success, ${CONCURRENT_TRANSACTIONS} at a time.`,
        columns: [{ key: 'rate', title: 'calls a second', digits: 0, hasRatio: true }],
        rows: transactional,
        base: BARE_TRANSACTIONS,
      },
    ]
  } finally {
    await boss.stop({ graceful: false })
    await pool.end()
    await close()
  }
}

/** Lets a pg-boss work until its jobs have ended. */
// biome-ignore lint/suspicious/noExplicitAny: peers are not installed when types are checked
async function workOff(boss: any, pool: pg.Pool, options: object): Promise<void> {
  await boss.work('add', options, async (jobs: { id: string }[]) =>
    jobs.map(({ id }) => ({ id, status: 'completed', output: { sum: 1 } })),
  )
  while ((await pool.query(`SELECT FROM pgboss.job WHERE state < 'completed' LIMIT 1`)).rowCount !== 0) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  // Without waiting, so that the end of its polling is not counted.
  void boss.offWork('add', { wait: false })
}

/** Fetches and completes jobs of a pg-boss as a worker of several slots does. */
// biome-ignore lint/suspicious/noExplicitAny: peers are not installed when types are checked
async function completeEach(boss: any, count: number): Promise<void> {
  for (let left = count; left > 0; ) {
    const jobs = await boss.fetch('add', { batchSize: CONCURRENCY })
    await Promise.all(jobs.map(({ id }: { id: string }) => boss.complete('add', id, { sum: 1 })))
    left -= jobs.length
  }
}

async function concurrently<T>(items: T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const queue = items.values()
  await Promise.all(
    Array.from({ length: CONCURRENT_TRANSACTIONS }, async () => {
      for (const item of queue) await work(item)
    }),
  )
}
