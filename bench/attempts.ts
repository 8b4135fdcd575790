// How fast attempts are performed and recorded, beside what they stand on (bare Graphile Worker jobs, bare Prisma transactions)
// and a peer (pg-boss). Everything runs in this process, against one PostgreSQL on this machine.
import { createRequire } from 'node:module'
import { attemptTask, BaseAttempt, connect, defineTargets } from '@async-gen/runtime'
import { PrismaPg } from '@prisma/adapter-pg'
import { Logger, runMigrations, runOnce, type TaskList, WorkerPreset } from 'graphile-worker'
import pg from 'pg'
import { APP } from '../test/support/host.js'
import { createDatabase, startPostgres } from '../test/support/postgres.js'
import { prisma as prismaCli } from '../test/support/prisma.js'
import { rates, report, seconds } from './measure.js'

const CONCURRENCY = 50
const quiet = new Logger(() => () => {})

const postgres = await startPostgres()
const url = await createDatabase(postgres)
await prismaCli(APP, ['migrate', 'deploy'], { env: { DATABASE_URL: url } })
await runMigrations({ connectionString: url })

const { PrismaClient } = await import('../test/.app/src/generated/prisma/client.js')
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, max: 20 }) })
const db = connect(prisma, { connectionString: url, poolSize: 12 })
const pool = new pg.Pool({ connectionString: url, max: 12 })

const Work = {
  add: async (a: number, b: number) => ({ sum: a + b }),
  order: async (number: number): Promise<number> => {
    const tx = await Attempt.current().tx()
    await tx.order.create({ data: { number, customerToken: 'tok' } })
    return number
  },
}
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Work }) }) {}

let orders = 0
const nextOrder = () => ++orders
const clear = () => pool.query('TRUNCATE attempts, "Order", graphile_worker._private_jobs CASCADE')

/** Works off all jobs, as runWorker does with `prefetch`. */
const drain = (taskList: TaskList) =>
  seconds(() =>
    runOnce({
      pgPool: db.pool,
      taskList,
      concurrency: CONCURRENCY,
      noHandleSignals: true,
      logger: quiet,
      preset: { extends: [WorkerPreset], worker: { localQueue: { size: 500 }, completeJobBatchDelay: 0 } },
    }),
  )

try {
  console.log(`concurrency ${CONCURRENCY}, PostgreSQL on this machine, medians of rounds side by side`)
  await performing()
  await performingInTransactions()
  await recording()
} finally {
  await db.close()
  await pool.end()
  await prisma.$disconnect()
  await postgres.stop()
}

async function performing() {
  const { PgBoss } = await pgBoss()
  const boss = new PgBoss({ connectionString: url, max: 12 })
  await boss.start()
  await boss.createQueue('add')
  const measured = await rates(
    [
      {
        name: 'bare Graphile Worker jobs that do nothing and keep nothing',
        round: async (count) => {
          await clear()
          await pool.query(
            `SELECT graphile_worker.add_jobs(array_agg(('noop', '{}', NULL, now(), NULL, NULL, 0, NULL)::graphile_worker.job_spec))
             FROM generate_series(1, $1)`,
            [count],
          )
          return await drain({ noop: async () => {} })
        },
      },
      {
        name: 'attempts, claimed, made, and their results stored',
        round: async (count) => {
          await clear()
          await Attempt.createMany(
            Array.from({ length: count }, (_, i) => ({ target: Work, method: 'add', args: [i, 1] })),
          )
          const time = await drain({ attempt: attemptTask(Attempt) })
          const succeeded = await Attempt.count({ status: 'succeeded' })
          if (succeeded !== count) throw new Error(`${succeeded} of ${count} attempts succeeded`)
          return time
        },
      },
      {
        name: 'pg-boss jobs, their results stored',
        round: async (count) => {
          await boss.insert(Array.from({ length: count }, (_, i) => ({ name: 'add', data: { i } })))
          return await seconds(async () => {
            for (let left = count; left > 0; ) {
              const jobs = await boss.fetch('add', { batchSize: CONCURRENCY })
              await Promise.all(jobs.map(({ id }: { id: string }) => boss.complete('add', id, { sum: 1 })))
              left -= jobs.length
            }
          })
        },
      },
    ],
    { rounds: 5, count: 10_000 },
  )
  await boss.stop({ graceful: false })
  report('Performing', measured, 'bare Graphile Worker jobs that do nothing and keep nothing')
}

async function performingInTransactions() {
  const measured = await rates(
    [
      {
        name: 'bare Prisma transactions: an order, an update of a row',
        round: async (count) => {
          await clear()
          await Attempt.createMany(
            Array.from({ length: count }, (_, i) => ({ target: Work, method: 'order', args: [i] })),
          )
          const ids = (await pool.query<{ id: string }>('SELECT id FROM attempts')).rows.map(({ id }) => id)
          return await seconds(() =>
            concurrently(ids, (id) =>
              prisma.$transaction(async (tx) => {
                await tx.order.create({ data: { number: nextOrder(), customerToken: 'tok' } })
                await tx.$queryRawUnsafe(
                  `UPDATE attempts SET status = 'succeeded', result = '1' WHERE id = $1::bigint RETURNING id`,
                  id,
                )
              }),
            ),
          )
        },
      },
      {
        name: 'attempts that use their transaction',
        round: async (count) => {
          await clear()
          await Attempt.createMany(
            Array.from({ length: count }, () => ({ target: Work, method: 'order', args: [nextOrder()] })),
          )
          return await drain({ attempt: attemptTask(Attempt) })
        },
      },
    ],
    { rounds: 5, count: 2000 },
  )
  report('Performing in a transaction', measured, 'bare Prisma transactions: an order, an update of a row')
}

async function recording() {
  const insert = `INSERT INTO attempts (target, method, args) VALUES ('Work', 'add', '[1,2]')`
  const measured = await rates(
    [
      {
        name: 'a Prisma transaction with a plain insert of the row',
        round: (count) =>
          seconds(() =>
            times(count, () =>
              prisma.$transaction(async (tx) => {
                await tx.attempt.create({ data: { target: 'Work', method: 'add', args: [1, 2] } })
              }),
            ),
          ),
      },
      {
        name: 'the same transaction with Attempt.async',
        round: (count) =>
          seconds(() =>
            times(count, () =>
              prisma.$transaction(async (tx) => {
                await Attempt.async(Work, { tx }).add(1, 2)
              }),
            ),
          ),
      },
      {
        name: 'the same insert by raw SQL',
        round: (count) =>
          seconds(() =>
            times(count, () =>
              prisma.$transaction(async (tx) => {
                await tx.$executeRawUnsafe(insert)
              }),
            ),
          ),
      },
    ],
    { rounds: 5, count: 500 },
  )
  report('Recording, one at a time', measured, 'a Prisma transaction with a plain insert of the row')
}

async function times(count: number, work: () => Promise<unknown>) {
  for (let i = 0; i < count; i++) await work()
}

async function concurrently<T>(items: T[], work: (item: T) => Promise<unknown>) {
  const queue = items.values()
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      for (const item of queue) await work(item)
    }),
  )
}

async function pgBoss() {
  const { default: PgBoss } = await import(createRequire(new URL('package.json', import.meta.url)).resolve('pg-boss'))
  return { PgBoss }
}
