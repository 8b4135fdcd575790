// What runs first: the higher priority, then the earlier time. Calls that are recorded one after the other have rising times.
import { BaseAttempt, defineTargets } from '@async-gen/runtime'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

let performed: (number | string)[] = []
const Work = {
  note: async (name: number | string) => {
    performed.push(name)
  },
}
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Work }) }) {}

const rows = (sql: string) => query(url, sql)
const work = () => runJobs(url, Attempt)
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)
const note = (name: number | string) => ({ target: Work, method: 'note' as const, args: [name] as [number | string] })

/** Leaves pages with room in them, so that a row's place says nothing about when it was inserted. */
beforeEach(async () => {
  await rows('TRUNCATE attempts, graphile_worker._private_jobs CASCADE')
  await rows(
    `INSERT INTO attempts (target, method, args) SELECT 'Work', 'note', '["before"]' FROM generate_series(1, 3000)`,
  )
  await rows('DELETE FROM graphile_worker._private_jobs WHERE id % 3 > 0')
  await rows('DELETE FROM attempts WHERE id % 3 > 0')
  await rows('VACUUM graphile_worker._private_jobs')
  await rows('DELETE FROM graphile_worker._private_jobs')
  await rows('DELETE FROM attempts')
  performed = []
})
afterAll(async () => {
  await db.close()
  await prisma.$disconnect()
})

describe('on a queue that has been used', () => {
  it('P3, P22: a higher priority runs first, then the earlier time; eight calls', async () => {
    const past = (seconds: number) => new Date(Date.now() - seconds * 1000)
    const [early, later] = [past(20), past(10)]
    const call = (name: number, priority: number, scheduledAt: Date) => ({ ...note(name), priority, scheduledAt })
    await Attempt.createMany([
      call(8, 5, later),
      call(3, 15, early),
      call(2, 20, later),
      call(5, 10, early),
      call(6, 10, later),
      call(4, 15, later),
      call(1, 20, early),
      call(7, 5, early),
    ])
    await work()
    expect(performed).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  })

  it('P3: calls of one transaction run in the order in which they were recorded', async () => {
    await prisma.$transaction(async (tx) => {
      for (const i of numbers(30)) await Attempt.async(Work, { tx }).note(i)
    })
    await work()
    expect(performed).toEqual(numbers(30))
  })

  it('P3: calls of one createMany run in their order, also where the sweep has to enqueue them', async () => {
    const attempts = await Attempt.createMany(numbers(300).map(note))
    expect(new Set((await times()).map(({ time }) => time)).size).toBe(300)
    await rows('DELETE FROM graphile_worker._private_jobs')
    expect(await Attempt.store.enqueueDue()).toBe(attempts.length)
    await work()
    expect(performed).toEqual(numbers(300))
  })

  it('P3: the sweep gives jobs to all rows that are due, in whatever order they lie', async () => {
    await Attempt.createMany(numbers(2500).map((i) => ({ ...note(i), priority: i % 7 })))
    await rows('DELETE FROM graphile_worker._private_jobs')
    expect(await Attempt.store.enqueueDue()).toBe(2500)
    expect(await Attempt.store.enqueueDue()).toBe(0)
    const jobs = await rows(`
      SELECT FROM attempts JOIN graphile_worker.jobs ON key = 'attempt:' || attempts.id
      WHERE run_at = scheduled_at AND jobs.priority = -attempts.priority`)
    expect(jobs).toHaveLength(2500)
  })
})

it('A6: a call is due as soon as it is recorded, however many are recorded with it', async () => {
  const attempts = await Attempt.createMany(numbers(2000).map(note))
  expect(await attempts.at(-1)!.perform()).toBe(true)
  expect(await times('WHERE scheduled_at > clock_timestamp()')).toEqual([])
})

function times(where = ''): Promise<{ time: string }[]> {
  return rows(`SELECT scheduled_at::text AS time FROM attempts ${where} ORDER BY id`)
}
