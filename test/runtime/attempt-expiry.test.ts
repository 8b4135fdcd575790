import { BaseAttempt, defineTargets, sweep } from '@async-gen/runtime'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

let performed: string[] = []
const Work = {
  note: async (name: string) => performed.push(name),
  fail: async () => {
    throw new Error('no answer')
  },
}

class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Work }) }) {}

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
const work = () => runJobs(url, Attempt)
const inOneHour = () => new Date(Date.now() + 3_600_000)
const oneHourAgo = () => new Date(Date.now() - 3_600_000)

afterEach(async () => {
  performed = []
  await rows('TRUNCATE attempts, graphile_worker._private_jobs CASCADE')
})
afterAll(() => db.close())

describe('a call with an expiry', () => {
  it('runs before it, as any other', async () => {
    const { id } = await Attempt.async(Work, { expiresAt: inOneHour() }).note('in time')
    await work()
    expect(performed).toEqual(['in time'])
    expect(await Attempt.find(id)).toMatchObject({ status: 'succeeded', hasExpired: false })
  })

  it('never runs after it, and the sweep sets its status', async () => {
    const { id } = await Attempt.async(Work, { expiresAt: oneHourAgo() }).note('late')
    await work()
    expect(performed).toEqual([])
    const attempt = await Attempt.find(id)
    expect(attempt).toMatchObject({ status: 'pending', hasExpired: true, isDue: false })

    expect(await sweep(db)).toMatchObject({ expired: 1, enqueued: 0 })
    await attempt?.reload()
    expect(attempt).toMatchObject({ status: 'expired', numAttempts: 0, completedAt: expect.any(Date) })
    expect(await sweep(db)).toMatchObject({ expired: 0 })
  })

  it('expiresAfter counts from the time when it is due', async () => {
    const due = inOneHour()
    const scheduled = await Attempt.schedule(due, Work, { expiresAfter: '10 minutes' }).note('later')
    expect(scheduled.expiresAt).toEqual(new Date(due.getTime() + 600_000))
    const now = await Attempt.async(Work, { expiresAfter: '10 minutes' }).note('now')
    const within = await db.prisma.$transaction((tx) =>
      Attempt.async(Work, { tx, expiresAfter: '10 minutes' }).note('now'),
    )
    for (const { expiresAt, createdAt } of [now, within])
      expect(Math.abs(expiresAt!.getTime() - createdAt.getTime() - 600_000)).toBeLessThan(60_000)
  })

  it('is recorded in a transaction, in a batch and by SQL', async () => {
    const expiresAt = oneHourAgo()
    await db.prisma.$transaction(async (tx) => {
      const attempt = await Attempt.async(Work, { tx, expiresAt }).note('tx')
      expect(attempt.expiresAt).toEqual(expiresAt)
    })
    await Attempt.createMany([{ target: Work, method: 'note', args: ['many'], expiresAfter: 0 }])
    await rows(`INSERT INTO attempts (target, method, args, expires_at) VALUES ('Work', 'note', '["sql"]', now())`)
    await db.prisma.attempt.create({ data: { target: 'Work', method: 'note', args: ['prisma'], expiresAt } })
    await work()
    expect(performed).toEqual([])
    expect((await sweep(db)).expired).toBe(4)
  })

  it('gets no retry after it', async () => {
    const { id } = await Attempt.async(Work, { expiresAfter: '1s' }).fail()
    await work()
    await rows(`UPDATE attempts SET scheduled_at = now(), expires_at = now()`)
    await work()
    await sweep(db)
    expect(await Attempt.find(id)).toMatchObject({
      status: 'expired',
      numAttempts: 1,
      errors: [{ message: 'no answer' }],
    })
  })

  it('warns when perform() is called after it', async () => {
    const attempt = await Attempt.async(Work, { expiresAt: oneHourAgo() }).note('late')
    const warn = vi.spyOn(process, 'emitWarning').mockReturnValue()
    expect(await attempt.perform()).toBe(false)
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('expired at'), { code: 'ATTEMPT_NOT_DUE' })
    warn.mockRestore()
  })

  it('runs after retry(), which removes an expiry that has passed', async () => {
    const attempt = await Attempt.async(Work, { expiresAt: oneHourAgo() }).note('again')
    await sweep(db)
    await attempt.reload()
    await attempt.retry()
    expect(attempt).toMatchObject({ status: 'pending', expiresAt: null })
    await work()
    expect(performed).toEqual(['again'])
  })

  it('is ended by the sweep in any number, and rows that are locked later', async () => {
    await rows(`
      INSERT INTO attempts (target, method, expires_at) SELECT 'Work', 'note', now() - interval '1 hour' FROM generate_series(1, 2500)`)
    await db.transaction(async (lock) => {
      await lock({ name: 'lock', text: 'SELECT id FROM attempts ORDER BY id LIMIT 3 FOR UPDATE' }, [])
      expect((await sweep(db)).expired).toBe(2497)
    })
    expect((await sweep(db)).expired).toBe(3)
    expect(await rows('SELECT DISTINCT status FROM attempts')).toEqual([{ status: 'expired' }])
  })

  it('may have the first and the last time that can be stored', async () => {
    const times = { scheduledAt: new Date('0001-01-01T00:00:00Z'), expiresAt: new Date('9999-12-31T23:59:59.999Z') }
    expect(await Attempt.async(Work, times).note('x')).toMatchObject(times)
  })

  it.each([
    [{ expiresAt: new Date(Number.NaN) }, 'expiresAt is Invalid Date'],
    [{ expiresAt: new Date(), expiresAfter: '1 hour' as const }, 'expiresAfter'],
    [{ expiresAfter: -1 }, 'expiresAfter: -1 is not a duration'],
    [{ expiresAfter: Number.MAX_VALUE }, 'is too long. It must be at most 1,000 years'],
    [{ expiresAt: new Date(8.64e15) }, 'It must be a valid Date, of the years 1 to 9999'],
    [{ scheduledAt: new Date(-8.64e15) }, 'It must be a valid Date, of the years 1 to 9999'],
    [{ expiresAt: new Date('+010000-01-01T00:00:00Z') }, 'It must be a valid Date, of the years 1 to 9999'],
    [{ scheduledAt: new Date('0000-12-31T23:59:59Z') }, 'It must be a valid Date, of the years 1 to 9999'],
    [{ expiresAt: oneHourAgo(), scheduledAt: new Date() }, 'must be after scheduledAt'],
    [{ expiresAt: new Date(0), scheduledAt: new Date(0) }, 'must be after scheduledAt'],
  ])('is refused with the options %o', async (options, message) => {
    await expect(Attempt.async(Work, options).note('x')).rejects.toThrow(message)
    expect(await Attempt.count()).toBe(0)
  })
})
