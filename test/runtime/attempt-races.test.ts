import { setTimeout as sleep } from 'node:timers/promises'
import { BaseAttempt, connect, defineTargets, InvalidStateError } from '@async-gen/runtime'
import { afterAll, afterEach, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { prisma } = await import('../.app/src/db.js')

const random = (below: number) => Math.floor(Math.random() * below)

/** A worker of its own: another presence, other batches. */
function newWorker() {
  const db = connect(prisma, { connectionString: url })
  const Shop = {
    order: async (number: number) => {
      const tx = await Attempt.current().tx()
      await sleep(random(10))
      await tx.order.create({ data: { number, customerToken: 'tok' } })
      await sleep(random(10))
      if (random(5) === 0) throw new Error('out of stock')
    },
  }
  class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Shop }) }) {
    override retryDelay() {
      return 0
    }
  }
  return { db, Shop, Attempt }
}

const workers = [newWorker(), newWorker()] as const
const [{ Attempt, Shop }] = workers

afterEach(() => query(url, 'TRUNCATE attempts, "Order", graphile_worker._private_jobs CASCADE'))
afterAll(() => Promise.all(workers.map(({ db }) => db.close())))

it('A9, A11, P9, P13: whatever workers and people do to the same rows at once, an order is there where its call has succeeded, once, and nowhere else', async () => {
  const attempts = await Attempt.createMany(
    Array.from({ length: 40 }, (_, number) => ({
      target: Shop,
      method: 'order' as const,
      args: [number] as [number],
      maxAttempts: 1000,
    })),
  )
  const anyId = () => attempts[random(attempts.length)]!.id
  const refused: unknown[] = []
  const performing = workers.flatMap((worker) =>
    Array.from({ length: 3 }, async () => {
      for (let i = 0; i < 60; i++) await worker.Attempt.perform(anyId())
    }),
  )
  const meddling = workers.map(async (worker) => {
    for (let i = 0; i < 150; i++) {
      const attempt = (await worker.Attempt.find(anyId()))!
      const verb = (['cancel', 'retry', 'expire', 'fail', 'retry'] as const)[random(5)]!
      await attempt[verb]().catch((error) => refused.push(error))
    }
  })
  await Promise.all([...performing, ...meddling])

  expect(refused.filter((error) => !(error instanceof InvalidStateError))).toEqual([])
  const mismatches = await query(
    url,
    `SELECT attempt.id, attempt.status, number
     FROM attempts AS attempt FULL JOIN "Order" ON number = (args ->> 0)::int
     WHERE (attempt.status = 'succeeded') IS DISTINCT FROM (number IS NOT NULL)`,
  )
  expect(mismatches).toEqual([])
  const [counts] = await query(
    url,
    `SELECT count(*) FILTER (WHERE status = 'running')::int AS running, count(*) FILTER (WHERE status = 'succeeded')::int AS succeeded
     FROM attempts`,
  )
  expect(counts.running).toBe(0)
  expect(counts.succeeded).toBeGreaterThan(0)
})
