// Statements that lock several batches, or several calls that others wait for, in opposite orders.
import { BaseAttempt, defineTargets, sweep } from '@async-gen/runtime'
import pg from 'pg'
import { afterAll, afterEach, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

const Task = {
  up: async (_n: number) => {},
  down: async (_n: number) => {},
  follow: async () => {},
  root: async () => {},
}
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Task }) }) {}

const rows = <Row = Record<string, unknown>>(sql: string, values?: unknown[]) =>
  query(url, sql, values) as Promise<Row[]>

afterEach(() => rows('TRUNCATE attempts, async_batches CASCADE'))
afterAll(async () => {
  await db.close()
  await prisma.$disconnect()
})

it('two bulk operations over the same batches, in opposite orders, both end', async () => {
  for (let round = 0; round < 5; round++) {
    await rows(`
      INSERT INTO async_batches (model) SELECT 'Attempt' FROM generate_series(1, 60);
      INSERT INTO attempts (target, method, args, batch_id)
        SELECT 'Task', 'up', '[1]', id FROM async_batches WHERE finished_at IS NULL ORDER BY id;
      INSERT INTO attempts (target, method, args, batch_id)
        SELECT 'Task', 'down', '[1]', id FROM async_batches WHERE finished_at IS NULL ORDER BY id DESC;
      INSERT INTO attempts (target, method, args, batch_id)
        SELECT 'Task', 'root', '[1]', id FROM async_batches WHERE finished_at IS NULL ORDER BY random()`)
    await Promise.all([
      Attempt.cancelAll({ method: 'up' }),
      Attempt.failAll({ method: 'down' }),
      Attempt.expireAll({ method: 'root' }),
    ])
    expect(await rows('SELECT FROM async_batches WHERE finished_at IS NULL')).toEqual([])
  }
})

it('bulk operations that end calls which the same others wait for, in opposite orders, both end', async () => {
  for (let round = 0; round < 5; round++) {
    await rows('TRUNCATE attempts CASCADE')
    await rows(
      `INSERT INTO attempts (target, method, args) SELECT 'Task', 'up', jsonb_build_array(i) FROM generate_series(1, 60) AS i`,
    )
    await rows(
      `INSERT INTO attempts (target, method, args) SELECT 'Task', 'down', jsonb_build_array(i) FROM generate_series(1, 60) AS i`,
    )
    await rows(`INSERT INTO attempts (target, method, args, after_ids, if_failed)
      SELECT 'Task', 'follow', '[]', ARRAY[up.id, down.id], 'run'
      FROM attempts AS up JOIN attempts AS down ON up.method = 'up' AND down.method = 'down' AND up.args ->> 0 = (61 - (down.args ->> 0)::int)::text`)
    await Promise.all([Attempt.cancelAll({ method: 'up' }), Attempt.failAll({ method: 'down' })])
    expect(await Attempt.count({ status: 'blocked' })).toBe(0)
  }
})

it('calls that are recorded together, and wait for the same others in opposite orders, are all recorded', async () => {
  for (let round = 0; round < 10; round++) {
    const roots = await Attempt.createMany(
      Array.from({ length: 40 }, () => ({ target: Task, method: 'root' as const })),
    )
    const after = (order: typeof roots) =>
      order.map((each, i) => ({ target: Task, method: 'up' as const, args: [i] as [number], after: [each] }))
    await Promise.all([
      prisma.$transaction((tx) => Attempt.createMany(after(roots), { tx })),
      prisma.$transaction((tx) => Attempt.createMany(after(roots.toReversed()), { tx })),
      Attempt.createMany(after(roots.toReversed())),
    ])
  }
  expect(await Attempt.count({ status: 'blocked' })).toBe(1200)
})

it('calls are recorded that wait for the same others as those of a transaction which began before', async () => {
  const roots = await Attempt.createMany(
    Array.from({ length: 2000 }, () => ({ target: Task, method: 'root' as const })),
  )
  const calls = (order: typeof roots) =>
    order.map((each, i) => ({ target: Task, method: 'up' as const, args: [i] as [number], after: [each] }))
  const untilWaiting = async (count: number) =>
    await eventually(
      `${count} that wait for a transaction`,
      async () =>
        (
          await rows(
            `SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
             WHERE datname = current_database() AND NOT granted AND locktype = 'transactionid'`,
          )
        ).length === count,
      10_000,
    )
  const holder = new pg.Client({ connectionString: url })
  await holder.connect()
  try {
    let [earlier, held]: Promise<unknown>[] = []
    await prisma.$transaction(async (tx) => {
      await Attempt.createMany(calls(roots.slice(0, 1600)), { tx })
      // It waits for the first of them, and has not seen that others wait for them already.
      earlier = Attempt.createMany(calls(roots))
      await untilWaiting(1)
      held = holder.query(`BEGIN; SELECT FROM attempts WHERE id = ${roots[1500]!.id} FOR NO KEY UPDATE`)
      await untilWaiting(2)
    })
    await held
    await untilWaiting(1)
    const later = Attempt.createMany(calls([roots[1599]!, roots[10]!]))
    await untilWaiting(2)
    await holder.query('COMMIT')
    await Promise.all([earlier, later])
  } finally {
    await holder.end()
  }
  expect(await Attempt.count({ status: 'blocked' })).toBe(3602)
})

it('PostgreSQL had to end none of these', async () => {
  const deadlocks = async () =>
    await rows('SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()')
  // A session reports its deadlocks within a second.
  await new Promise((resolve) => setTimeout(resolve, 1500))
  expect(await deadlocks()).toEqual([{ deadlocks: 0 }])
})

it('a sweep, a retry and a cancellation of the same chains at the same time all end', async () => {
  for (let round = 0; round < 5; round++) {
    await rows('TRUNCATE attempts CASCADE')
    for (let chain = 0; chain < 10; chain++) {
      let last = await Attempt.async(Task).root()
      for (let i = 0; i < 8; i++) last = await Attempt.async(Task, { after: [last] }).up(i)
    }
    await Attempt.failAll({ method: 'root' })
    await Promise.all([
      Attempt.retryAll({ status: ['failed', 'cancelled'] }),
      sweep(db),
      Attempt.cancelAll({ method: 'up' }),
      Attempt.retryAll({ method: 'up', status: 'cancelled' }),
    ])
    for (let i = 0; i < 3; i++) await sweep(db)
    await rows(
      `UPDATE attempts SET status = 'succeeded', completed_at = now() WHERE status = 'pending' AND method = 'root'`,
    )
    for (let i = 0; i < 10; i++)
      await rows(`UPDATE attempts SET status = 'succeeded', completed_at = now() WHERE status = 'pending'`)
    expect(await Attempt.count({ status: 'blocked' })).toBe(0)
  }
})
