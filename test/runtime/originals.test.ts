// The specs that async_task (A23) and the Async plugin (P22) came with, each by its name there, against what they became here.
import { BaseAttempt, defineTargets, InvalidStateError } from '@async-gen/runtime'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { attemptFactory } = await import('../.app/src/async/attempt.factory.js')

let calls: unknown[][] = []
const Test = {
  success: async (...args: number[]) => {
    calls.push(args)
    return args.length ? args.reduce((a, b) => a + b) : null
  },
  failure: async () => {
    throw new Error('failed on purpose')
  },
}
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Test }) }) {}

const inAnHour = () => new Date(Date.now() + 3_600_000)
const rows = (sql: string) => query(url, sql)
const work = (concurrency = 1) => runJobs(url, Attempt, { concurrency })

beforeEach(() => {
  calls = []
})
afterEach(() => rows('TRUNCATE attempts, graphile_worker._private_jobs CASCADE'))

describe('A23: async_task', () => {
  it('perform!, scheduled in the future: does not increment num_attempts', async () => {
    const attempt = await Attempt.schedule(inAnHour(), Test).success()
    await attempt.perform()
    expect((await attempt.reload()).numAttempts).toBe(0)
  })

  it.each(['succeeded', 'failed', 'expired'] as const)(
    'perform!, not pending (%s): raises InvalidStateError',
    async (trait) => {
      const attempt = await Attempt.find((await attemptFactory[trait]()).id)
      await expect(attempt?.perform()).rejects.toThrow(InvalidStateError)
    },
  )

  it('perform!, pending: updates the status to succeeded', async () => {
    const attempt = await Attempt.async(Test).success()
    await attempt.perform()
    expect((await attempt.reload()).status).toBe('succeeded')
  })

  it('perform!, pending: increments num_attempts from 0 to 1', async () => {
    const attempt = await Attempt.async(Test).success()
    expect(attempt.numAttempts).toBe(0)
    await attempt.perform()
    expect((await attempt.reload()).numAttempts).toBe(1)
  })

  it('perform!, an error: leaves num_attempts at 1, and handle_perform_error can raise it again', async () => {
    class Raising extends Attempt {
      override async handlePerformError(error: unknown) {
        await super.handlePerformError(error)
        throw error
      }
    }
    const attempt = await Raising.async(Test).failure()
    await expect(attempt.perform()).rejects.toThrow('failed on purpose')
    expect(await attempt.reload()).toMatchObject({ numAttempts: 1, status: 'pending' })
  })

  for (const [verb, status] of [
    ['expire', 'expired'],
    ['fail', 'failed'],
  ] as const) {
    it(`${verb}!, pending: updates the status to ${status} and sets completed_at`, async () => {
      const attempt = await Attempt.async(Test).success()
      await attempt[verb]()
      expect(await attempt.reload()).toMatchObject({ status, completedAt: expect.any(Date) })
    })

    it(`${verb}!, not pending: raises InvalidStateError`, async () => {
      const attempt = await Attempt.find((await attemptFactory.succeeded()).id)
      await expect(attempt?.[verb]()).rejects.toThrow(InvalidStateError)
    })
  }

  it('AttemptBatchJob: enqueues a job for each pending row that is due, and none for the future', async () => {
    const due = [await Attempt.async(Test).success(), await Attempt.async(Test).success()]
    await Attempt.schedule(inAnHour(), Test).success()
    await rows('TRUNCATE graphile_worker._private_jobs')

    await Attempt.store.enqueueDue()
    const jobs = await rows('SELECT key FROM graphile_worker.jobs ORDER BY id')
    expect(jobs.map(({ key }) => key)).toEqual(due.map(({ id }) => `attempt:${id}`))
  })

  it('AttemptJob: performs the attempt', async () => {
    const attempt = await Attempt.async(Test).success()
    await work()
    expect((await attempt.reload()).status).toBe('succeeded')
  })
})

describe('P22: the Async plugin', () => {
  it('a new task is waiting: not started, not finished, without success', async () => {
    const attempt = await Attempt.async(Test).success()
    expect(attempt).toMatchObject({ isPending: true, isStarted: false, isFinished: false, isSucceeded: false })
  })

  it('a task that ran is finished with success, and one that raised is started without it', async () => {
    const [good, bad] = [await Attempt.async(Test).success(), await Attempt.async(Test).failure()]
    await work()
    expect(await good.reload()).toMatchObject({ isStarted: true, isFinished: true, isSucceeded: true })
    expect(await bad.reload()).toMatchObject({ isStarted: true, isSucceeded: false })
  })

  it('cancel!: cancelled and finished, with an empty result, and never run', async () => {
    const attempt = await Attempt.async(Test).success(1)
    await attempt.cancel()
    await work()
    expect(await attempt.reload()).toMatchObject({ isCancelled: true, isFinished: true, result: undefined })
    expect(calls).toEqual([])
  })

  it('the queue row lives from the recording of the task to its end', async () => {
    const jobs = async () => (await rows('SELECT FROM graphile_worker.jobs')).length
    expect(await jobs()).toBe(0)
    await Attempt.async(Test).success()
    expect(await jobs()).toBe(1)
    await work()
    expect(await jobs()).toBe(0)
  })

  it('the arguments are stored, and the method is called with them', async () => {
    const attempt = await Attempt.async(Test).success(1, 2, 3)
    expect((await Attempt.find(attempt.id))?.args).toEqual([1, 2, 3])
    await work()
    expect(calls).toEqual([[1, 2, 3]])
  })

  it('the result is stored, nil as nil', async () => {
    const [sum, nothing] = [await Attempt.async(Test).success(1, 2), await Attempt.async(Test).success()]
    await work()
    expect((await sum.reload()).result).toBe(3)
    expect((await nothing.reload()).result).toBeNull()
  })

  it('an exception is stored with its message and backtrace', async () => {
    const attempt = await Attempt.async(Test).failure()
    await work()
    const [error] = (await attempt.reload()).errors
    expect(error).toMatchObject({ message: 'failed on purpose', stack: expect.stringContaining('originals.test.ts') })
  })

  it('each task is taken by exactly one worker', async () => {
    await Attempt.createMany(
      Array.from({ length: 40 }, (_, i) => ({ target: Test, method: 'success' as const, args: [i] })),
    )
    await Promise.all([work(5), work(5), work(5)])
    expect(calls.map(([i]) => i).sort((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 40 }, (_, i) => i))
  })

  it('tasks of the future are skipped', async () => {
    await Attempt.schedule(inAnHour(), Test).success()
    await work()
    expect(calls).toEqual([])
  })

  it('schedule keeps its time', async () => {
    const time = inAnHour()
    const attempt = await Attempt.schedule(time, Test).success()
    expect((await attempt.reload()).scheduledAt).toEqual(time)
  })
})
