import { attemptBatchTask, attemptTask, BaseAttempt, defineTargets, limit, sweep } from '@async-gen/runtime'
import { drain, testClock } from '@async-gen/runtime/testing'
import { run } from 'graphile-worker'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { query } from '../support/postgres.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

let calls: string[] = []
/** How often a call still fails, by its name. */
let failures: Record<string, number> = {}
let retryDelay = 300

const Ledger = {
  book: async (account: string, name: string) => {
    calls.push(name)
    await new Promise((resolve) => setTimeout(resolve, account === 'slow' ? 30 : 1))
    if ((failures[name] ?? 0) <= 0) return undefined
    failures[name]!--
    throw new Error('no answer')
  },
  close: async (_account: string, name: string) => {
    calls.push(name)
  },
  later: async (_account: string, name: string): Promise<unknown> => {
    calls.push(name)
    const { attempt, snooze } = Attempt.current()
    return attempt.snoozes === 0 ? snooze(1000) : undefined
  },
}
const Mail = {
  send: async (_to: string, name: string) => {
    calls.push(name)
  },
  post: async (_to: string, name: string) => {
    calls.push(name)
  },
}
const targets = defineTargets(
  { Ledger, Mail },
  {
    limits: [
      limit(Ledger, { key: (account) => account, order: 'strict' }),
      limit(Mail, { key: (to) => to, rate: { limit: 3, per: '600ms' } }),
      limit(Mail, { method: 'post', key: (to) => to, rate: { limit: 3, per: '1 hour' } }),
    ],
  },
)

class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {
  override retryDelay() {
    return retryDelay
  }
}

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
const statuses = async () => (await rows('SELECT status::text FROM attempts ORDER BY id')).map(({ status }) => status)
const taskList = { attempt: attemptTask(Attempt), attempt_batch: attemptBatchTask(Attempt) }

/** Runs all jobs that are due, and those that they add. */
const work = (concurrency = 4) => runJobs(url, Attempt, { concurrency })

/** Runs a worker until all calls have ended. */
async function workToTheEnd(concurrency = 4) {
  const runner = await run({ connectionString: url, taskList, concurrency, noHandleSignals: true, pollInterval: 50 })
  await eventually(
    'the end of all calls',
    async () => (await rows('SELECT FROM attempts WHERE completed_at IS NULL')).length === 0,
    30_000,
  ).finally(() => runner.stop())
}

beforeEach(() => {
  calls = []
  failures = {}
  retryDelay = 300
})
afterEach(async () => {
  await (await testClock(db)).reset()
  await rows('TRUNCATE attempts, async_pauses, async_limits, async_limit_starts, graphile_worker._private_jobs CASCADE')
})

describe("limit(target, { order: 'strict' })", () => {
  it('runs the calls of a key one after the other, as they were recorded, whatever their priority', async () => {
    for (let i = 0; i < 20; i++) await Attempt.async(Ledger, { priority: i }).book('a', `${i}`)
    await work(8)
    expect(calls).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`))
  })

  it('holds back the calls after one that is retried, and those of no other key', async () => {
    failures = { one: 2 }
    retryDelay = 3_600_000
    await Attempt.async(Ledger).book('a', 'one')
    await Attempt.async(Ledger).book('a', 'two')
    await Attempt.async(Ledger).book('a', 'three')
    await Attempt.async(Ledger).book('b', 'other')
    await work()
    expect(calls.toSorted()).toEqual(['one', 'other'])
    await sweep(db)
    await work()
    expect(calls.length).toBe(2)
    retryDelay = 100
    await rows(`UPDATE attempts SET scheduled_at = now() WHERE status = 'pending' AND num_attempts > 0`)
    await workToTheEnd()
    expect(calls.filter((name) => name !== 'other')).toEqual(['one', 'one', 'one', 'two', 'three'])
  })

  it('goes on after a call that has failed, was cancelled, has expired, or was deleted', async () => {
    failures = { one: 9, three: 9, five: 9, seven: 9 }
    retryDelay = 3_600_000
    const names = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight']
    for (const name of names) await Attempt.async(Ledger, { maxAttempts: name === 'one' ? 1 : 9 }).book('a', name)
    await work()
    expect(calls).toEqual(['one', 'two', 'three'])
    const [third, , fifth] = (await rows(`SELECT id FROM attempts WHERE status = 'pending' ORDER BY id`)) as {
      id: string
    }[]
    await (await Attempt.find(third!.id))!.cancel()
    await work()
    expect(calls.slice(3)).toEqual(['four', 'five'])
    await rows(`UPDATE attempts SET expires_at = now() WHERE id = $1`, [fifth!.id])
    await sweep(db)
    await work()
    expect(calls.slice(5)).toEqual(['six', 'seven'])
    await rows(`DELETE FROM attempts WHERE args ->> 1 = 'seven'`)
    await work()
    expect(calls.slice(7)).toEqual(['eight'])
  })

  it('keeps the place of a call that snoozes', async () => {
    await Attempt.async(Ledger).later('a', 'one')
    await Attempt.async(Ledger).book('a', 'two')
    await workToTheEnd()
    expect(calls).toEqual(['one', 'one', 'two'])
  })

  it('does not wait for a call for later that has not run yet', async () => {
    await Attempt.schedule(new Date(Date.now() + 400), Ledger).book('a', 'later')
    await Attempt.async(Ledger).book('a', 'now')
    await work()
    expect(calls).toEqual(['now'])
    await workToTheEnd()
    expect(calls).toEqual(['now', 'later'])
  })

  it('waits for a call that is paused', async () => {
    await Attempt.pause(Ledger, { method: 'close' })
    await Attempt.async(Ledger).close('a', 'one')
    await Attempt.async(Ledger).book('a', 'two')
    await work()
    await sweep(db)
    await work()
    expect(calls).toEqual([])
    await Attempt.resume(Ledger, { method: 'close' })
    await work()
    expect(calls).toEqual(['one', 'two'])
  })

  it('is kept by drain', async () => {
    failures = { one: 1 }
    retryDelay = 60_000
    for (const name of ['one', 'two', 'three']) await Attempt.async(Ledger, { priority: name.length }).book('a', name)
    expect(await drain(db, { throwErrors: false })).toMatchObject({ succeeded: 0, failed: 1 })
    expect(calls).toEqual(['one'])
    expect(await drain(db, { until: '1 hour' })).toMatchObject({ succeeded: 3 })
    expect(calls).toEqual(['one', 'one', 'two', 'three'])
  })
})

describe('limit(target, { rate })', () => {
  it('starts no more calls of a key in any window, and no call waits longer than it has to', async () => {
    for (let i = 0; i < 10; i++) await Attempt.async(Mail).send('a', `${i}`)
    await Attempt.async(Mail).send('b', 'other')
    const started = performance.now()
    await workToTheEnd(8)
    const elapsed = performance.now() - started
    const times = (
      await rows(
        `SELECT extract(epoch FROM started_at) * 1000 AS at, num_attempts FROM attempts WHERE args ->> 0 = 'a' ORDER BY 1`,
      )
    ).map(({ at }) => Number(at))
    for (const [i, time] of times.entries()) if (i >= 3) expect(time - times[i - 3]!).toBeGreaterThanOrEqual(600)
    // Three windows have to pass.
    expect(elapsed).toBeGreaterThan(1700)
    expect(elapsed).toBeLessThan(5000)
    expect((await rows('SELECT DISTINCT num_attempts FROM attempts')).map((row) => row.num_attempts)).toEqual([1])
  })

  it('adds one job for all calls that wait', async () => {
    await Attempt.createMany(
      Array.from({ length: 50 }, (_, i) => ({
        target: Mail,
        method: 'post' as const,
        args: ['a', `${i}`] as [string, string],
      })),
    )
    for (let i = 0; i < 10; i++) await Attempt.async(Mail).post('a', `more ${i}`)
    await work()
    expect(calls.length).toBe(3)
    expect(await rows('SELECT payload FROM graphile_worker._private_jobs WHERE run_at > now()')).toHaveLength(1)
    await sweep(db)
    const jobs = await rows('SELECT key, run_at, attempts, last_error FROM graphile_worker.jobs')
    // The first call in their order may be another than the one whose job waits for the time.
    expect(jobs.length, JSON.stringify(jobs)).toBeLessThanOrEqual(2)
  })

  it('is kept by drain, which can run ahead', async () => {
    for (let i = 0; i < 7; i++) await Attempt.async(Mail).post('a', `${i}`)
    expect(await drain(db)).toMatchObject({ succeeded: 3 })
    expect(await drain(db)).toMatchObject({ succeeded: 0 })
    const clock = await testClock(db)
    await clock.advance('61 minutes')
    expect(await drain(db)).toMatchObject({ succeeded: 3 })
    expect(await drain(db, { until: '3 hours' })).toMatchObject({ succeeded: 1 })
    expect(await statuses()).toEqual(Array(7).fill('succeeded'))
  })
})
