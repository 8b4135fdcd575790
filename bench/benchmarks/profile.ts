import { attemptTask } from '@async-gen/runtime'
import { openApplication } from '../application.js'
import { openConnection } from '../connection.js'
import { type BenchContext, openContext } from '../context.js'
import { addNoops, runDue } from '../queues/graphile-worker.js'
import type { Table } from '../result.js'
import { alternate, repeat } from '../rounds.js'

const CONCURRENCY = 250

/** The statements of a call, by what each begins with. */
const STATEMENTS = {
  fetch: 'with j_raw',
  claim: 'UPDATE "attempts"',
  store: 'WITH run AS',
  remove: 'delete from "graphile_worker"',
  insert: 'INSERT INTO',
  fence: 'SELECT pg_current_xact_id()',
}

type Measured = Record<string, number>

/** Where the time of a call goes: in this process, and in PostgreSQL by statement. */
export async function profile({ short }: BenchContext): Promise<Table[]> {
  const { context, close: stop } = await openContext(short, {
    shared_preload_libraries: 'pg_stat_statements',
    'pg_stat_statements.track_planning': 'on',
  })
  const url = await context.database()
  const { prisma, db, Attempt, Work, close } = await openApplication(url)
  const client = await openConnection(url)
  await client.query('CREATE EXTENSION pg_stat_statements')

  /** Measures work for `count` calls, in microseconds of one call. */
  const measure = async (count: number, work: () => Promise<unknown>): Promise<Measured> => {
    await client.query('SELECT pg_stat_statements_reset()')
    const before = process.cpuUsage()
    await work()
    const { user, system } = process.cpuUsage(before)
    const { rows } = await client.query<{ query: string; time: number }>(
      'SELECT ltrim(query) AS query, (total_plan_time + total_exec_time) * 1000 AS time FROM pg_stat_statements',
    )
    const times = Object.entries(STATEMENTS).map(([key, beginning]) => {
      const ofStatement = rows.filter(({ query }) => withoutComment(query).startsWith(beginning))
      return [key, ofStatement.reduce((sum, { time }) => sum + time, 0) / count] as const
    })
    const spent = times.filter(([, time]) => time > 0)
    return { javascript: (user + system) / count, ...Object.fromEntries(spent) }
  }
  const clear = () => client.query('TRUNCATE attempts, graphile_worker._private_jobs CASCADE')

  const calls = short ? 500 : 10_000
  const transactions = short ? 30 : 1000
  const rounds = short ? 1 : 7
  type Transaction = Parameters<Parameters<typeof prisma.$transaction>[0]>[0]
  const inTransactions = (name: string, record: (tx: Transaction) => Promise<unknown>) => ({
    name,
    round: async () => {
      await clear()
      return await measure(transactions, () =>
        repeat(transactions, () => prisma.$transaction(async (tx) => void (await record(tx)))),
      )
    },
  })

  try {
    const running = await alternate(
      [
        {
          name: 'Graphile Worker: a job that does nothing',
          round: async () => {
            await clear()
            await addNoops(client, calls)
            return await measure(calls, () => runDue(db.pool, { noop: async () => {} }, CONCURRENCY))
          },
        },
        {
          name: 'async-gen: a call, its result stored',
          round: async () => {
            await clear()
            await Attempt.createMany(
              Array.from({ length: calls }, (_, i) => ({ target: Work, method: 'add', args: [i, 1] })),
            )
            return await measure(calls, () => runDue(db.pool, { attempt: attemptTask(Attempt) }, CONCURRENCY))
          },
        },
      ],
      rounds,
    )
    const recording = await alternate(
      [
        inTransactions('a plain insert of the row, with Prisma', (tx) =>
          tx.attempt.create({ data: { target: 'Work', method: 'add', args: [1, 2] } }),
        ),
        inTransactions('async-gen: Attempt.async', (tx) => Attempt.async(Work, { tx }).add(1, 2)),
      ],
      rounds,
    )
    return [
      {
        id: 'profile-running',
        title: 'Where the time of a call goes',
        method: `Microseconds of one call, when ${CONCURRENCY} run at a time: of the processor for JavaScript, of PostgreSQL's statements.`,
        columns: [
          { key: 'javascript', title: 'JavaScript', digits: 0 },
          { key: 'fetch', title: 'fetch the job', digits: 0 },
          { key: 'claim', title: 'claim the row', digits: 0 },
          { key: 'store', title: 'store the result', digits: 0 },
          { key: 'remove', title: 'delete the job', digits: 0 },
        ],
        rows: running,
      },
      {
        id: 'profile-recording',
        title: 'Where the time of a recorded call goes',
        method:
          'Microseconds of one transaction of Prisma with one call. The insert contains the trigger that adds the job.',
        columns: [
          { key: 'javascript', title: 'JavaScript', digits: 0 },
          { key: 'fence', title: 'read the id of the transaction', digits: 0 },
          { key: 'insert', title: 'insert the row', digits: 0 },
        ],
        rows: recording,
      },
    ]
  } finally {
    await client.end()
    await close()
    await stop()
  }
}

function withoutComment(query: string): string {
  return query.replace(/^(\s*--.*\n)+\s*/, '').trimStart()
}
