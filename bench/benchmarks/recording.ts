import pg from 'pg'
import { openApplication } from '../application.js'
import type { BenchContext } from '../context.js'
import { peer } from '../peer.js'
import { start } from '../queues/pg-boss.js'
import type { Table } from '../result.js'
import { alternate, rate, repeat, time } from '../rounds.js'

const INSERT = `INSERT INTO attempts (target, method, args) VALUES ('Work', 'add', '[1,2]')`
const ADD_JOB = `SELECT id FROM graphile_worker.add_job('add', '[1,2]')`
const ADD_JOBS = `
  SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(
    SELECT ('add', '[1,2]', NULL, now(), NULL, NULL, 0, NULL)::graphile_worker.job_spec FROM generate_series(1, $1)
  ))`

/** How many calls one statement records in bulk. */
const PAGE = 1000

/** What it costs to record a call: in a transaction of Prisma, and in bulk. */
export async function recording({ short, database }: BenchContext): Promise<Table[]> {
  const url = await database()
  const { prisma, Attempt, Work, close } = await openApplication(url)
  const pool = new pg.Pool({ connectionString: url, max: 4 }).on('error', () => {})
  const boss = await start(url, { supervise: false, schedule: false })
  const { fromPrisma } = await peer('pg-boss')
  await boss.createQueue('add')
  const clear = () => pool.query('TRUNCATE attempts, graphile_worker._private_jobs, pgboss.job CASCADE')

  let orders = 0

  type Transaction = Parameters<Parameters<typeof prisma.$transaction>[0]>[0]
  const inTransaction = (name: string, record: (tx: Transaction) => Promise<unknown>) => ({
    name,
    round: async () => {
      const count = short ? 30 : 500
      await clear()
      const took = await time(() => repeat(count, () => prisma.$transaction(async (tx) => void (await record(tx)))))
      return { time: took / count }
    },
  })
  const inBulk = (name: string, record: (count: number) => Promise<unknown>) => ({
    name,
    round: async () => {
      const pages = short ? 1 : 20
      await clear()
      return { rate: rate(pages * PAGE, await time(() => repeat(pages, () => record(PAGE)))) }
    },
  })

  try {
    const single = await alternate(
      [
        inTransaction('a plain insert of the row, with Prisma', (tx) =>
          tx.attempt.create({ data: { target: 'Work', method: 'add', args: [1, 2] } }),
        ),
        inTransaction('async-gen: Attempt.async', (tx) => Attempt.async(Work, { tx }).add(1, 2)),
        inTransaction('async-gen: an insert in SQL', (tx) => tx.$executeRawUnsafe(INSERT)),
        inTransaction('a plain insert into a table without a trigger, with Prisma', (tx) =>
          tx.order.create({ data: { number: ++orders, customerToken: 'tok' } }),
        ),
        inTransaction('Graphile Worker: add_job in SQL', (tx) => tx.$queryRawUnsafe(ADD_JOB)),
        inTransaction('pg-boss: send', (tx) => boss.send('add', { a: 1, b: 2 }, { db: fromPrisma(tx) })),
      ],
      short ? 1 : 7,
    )
    const bulk = await alternate(
      [
        inBulk('plain inserts of the rows, with Prisma', (count) =>
          prisma.attempt.createMany({ data: fill(count, { target: 'Work', method: 'add', args: [1, 2] }) }),
        ),
        inBulk('async-gen: Attempt.createMany', (count) =>
          Attempt.createMany(fill(count, { target: Work, method: 'add', args: [1, 2] })),
        ),
        inBulk('Graphile Worker: add_jobs in SQL', (count) => pool.query(ADD_JOBS, [count])),
        inBulk('pg-boss: insert', (count) => boss.insert('add', fill(count, { data: { a: 1, b: 2 } }))),
      ],
      short ? 1 : 5,
    )
    return [
      {
        id: 'recording',
        title: 'Recording a call in a transaction',
        method: 'One interactive transaction of Prisma after the other, with one call in each.',
        columns: [{ key: 'time', title: 'ms a transaction', digits: 2, hasRatio: true }],
        rows: single,
        base: 'a plain insert of the row, with Prisma',
      },
      {
        id: 'bulk',
        title: 'Recording calls in bulk',
        method: 'A thousand calls at a time.',
        columns: [{ key: 'rate', title: 'calls a second', digits: 0, hasRatio: true }],
        rows: bulk,
        base: 'plain inserts of the rows, with Prisma',
      },
    ]
  } finally {
    await boss.stop({ graceful: false })
    await pool.end()
    await close()
  }
}

function fill<T>(count: number, value: T): T[] {
  return new Array(count).fill(value)
}
