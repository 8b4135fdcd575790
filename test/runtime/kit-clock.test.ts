import { asyncCached, BaseAttempt, connect, defineTargets, defineToast } from '@async-gen/runtime'
import { drain, inRollback, perform, prune, recorded, testClock } from '@async-gen/runtime/testing'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

let ran: unknown[] = []

const Service = {
  note: async (what: string) => void ran.push(what),
  failOnce: async () => {
    ran.push(`run ${Attempt.current().run}`)
    if (Attempt.current().run === 1) throw new Error('not yet')
  },
  recordChild: async () => void (await Attempt.async(Service).note('child')),
}
const targets = defineTargets({ Service })
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}

const clock = await testClock(db)
const HOUR = 3_600_000
const inHours = (hours: number) => new Date(Date.now() + hours * HOUR)
const isNear = (time: Date, expected: Date) => Math.abs(time.getTime() - expected.getTime()) < 30_000

afterEach(async () => {
  vi.useRealTimers()
  await clock.reset()
  ran = []
  await query(url, 'TRUNCATE attempts, toasts, async_pauses, "Order", graphile_worker._private_jobs CASCADE')
})
afterAll(() => db.close())

describe('testClock(db)', () => {
  it('makes calls for later due', async () => {
    const attempt = await Attempt.schedule(inHours(2), Service).note('later')
    await clock.advance('1 hour')
    expect(await drain(db)).toMatchObject({ succeeded: 0 })
    expect(attempt.isDue).toBe(false)
    await clock.advance('1 hour')
    expect(attempt.isDue).toBe(true)
    expect(await drain(db)).toMatchObject({ succeeded: 1 })
    expect(isNear((await attempt.reload()).completedAt!, inHours(2))).toBe(true)
    expect(isNear(clock.now(), inHours(2))).toBe(true)
  })

  it('makes the next run of a failed call due', async () => {
    const attempt = await Attempt.async(Service).failOnce()
    await drain(db, { throwErrors: false })
    expect(await drain(db)).toMatchObject({ succeeded: 0 })
    await clock.advance('5 minutes')
    await drain(db)
    expect((await attempt.reload()).status).toBe('succeeded')
  })

  it('expires calls, and those that are recorded afterwards only by the new time', async () => {
    const before = await Attempt.async(Service, { expiresAfter: '10 minutes' }).note('before')
    await clock.advance('1 day')
    expect(before.hasExpired).toBe(true)
    const after = await Attempt.async(Service, { expiresAfter: '10 minutes' }).note('after')
    const inTransaction = await prisma.$transaction((tx) =>
      Attempt.async(Service, { tx, expiresAfter: '10 minutes' }).note('in a transaction'),
    )
    expect(isNear(inTransaction.scheduledAt, inHours(24))).toBe(true)
    expect(await drain(db)).toMatchObject({ succeeded: 2, expired: 1 })
    expect((await before.reload()).status).toBe('expired')
    expect((await after.reload()).status).toBe('succeeded')
    expect(ran).toEqual(['after', 'in a transaction'])
  })

  it('has calls that run record others at the new time', async () => {
    await clock.advance('3 hours')
    await Attempt.async(Service).recordChild()
    expect(await drain(db)).toMatchObject({ succeeded: 2 })
    const [child] = await recorded(Attempt, { method: 'note' })
    expect(isNear(child!.scheduledAt, inHours(3))).toBe(true)
  })

  it('ends pauses', async () => {
    await Attempt.async(Service).note('paused')
    await query(
      url,
      `INSERT INTO async_pauses (model, target, method, until) VALUES ('Attempt', '*', '*', now() + '1 hour')`,
    )
    await clock.advance('59 minutes')
    expect(await drain(db)).toMatchObject({ succeeded: 0 })
    await clock.advance('2 minutes')
    expect(await drain(db)).toMatchObject({ succeeded: 1 })
  })

  it('makes toasts stale, and expires values of cached functions', async () => {
    let computed = 0
    const shelf = defineToast(db, 'kit.clock', {
      load: async (id: number) => ({ id, updatedAt: new Date(0) }),
      compute: async () => ({ computed: ++computed }),
      expireIn: '1 hour',
    })
    const parent = { id: 1, updatedAt: new Date(0) }
    await shelf(parent)
    await drain(db)
    await clock.advance('59 minutes')
    expect(await shelf.isStale(parent)).toBe(false)
    await clock.advance('2 minutes')
    expect(await shelf.isStale(parent)).toBe(true)
    const cached = asyncCached(db, 'kit.cached', async () => ++computed)
    const fetch = () => cached.fetch('menu', 1, { expiresIn: '1 hour' })
    expect([await fetch(), await fetch()]).toEqual([2, 2])
    await clock.advance('61 minutes')
    expect(await fetch()).toBe(3)
  })

  it('has retention delete attempts after their period', async () => {
    await perform(await Attempt.async(Service).note('one'))
    await clock.advance('6 days')
    expect(await prune(db)).toBe(0)
    await clock.advance('2 days')
    expect(await prune(db, false)).toBe(0)
    expect(await prune(db)).toBe(1)
    expect(await Attempt.count()).toBe(0)
  })

  it('deletes values of an older version of the code after a day', async () => {
    const options = { load: async () => ({ id: 1, updatedAt: new Date(0) }), compute: async () => 1, version: 2 }
    defineToast(db, 'kit.versioned', options)
    await query(url, `INSERT INTO toasts (name, key, value, cached_at) VALUES ('kit.versioned@1', '1', '1', now())`)
    await clock.advance('23 hours')
    expect(await prune(db)).toBe(0)
    await clock.advance('2 hours')
    expect(await prune(db)).toBe(1)
  })

  it('works in a transaction that rolls back', async () => {
    await inRollback(prisma, async (tx) => {
      await Attempt.schedule(inHours(2), Service, { tx }).note('later')
      await clock.advance('3 hours')
      expect(await drain(db)).toMatchObject({ succeeded: 1 })
    })
  })

  it('applies to one Database only', async () => {
    const other = connect(prisma, { connectionString: url })
    class OtherAttempt extends BaseAttempt(other, { model: 'Attempt', table: 'attempts', targets }) {}
    await clock.advance('1 hour')
    expect(isNear((await OtherAttempt.async(Service).note('one')).scheduledAt, new Date())).toBe(true)
    expect(isNear((await Attempt.async(Service).note('two')).scheduledAt, inHours(1))).toBe(true)
    await other.close()
  })

  it('moves back with reset()', async () => {
    await clock.advance('1 hour')
    await clock.reset()
    expect(isNear((await Attempt.async(Service).note('one')).scheduledAt, new Date())).toBe(true)
    await expect(clock.advance(-1)).rejects.toMatchObject({ code: 'INVALID_DURATION' })
  })
})

describe('testClock(db) with fake timers', () => {
  it('follows a Date that stands still, or that a test sets', async () => {
    const real = Date.now()
    vi.useFakeTimers({ toFake: ['Date'] })
    const attempt = await Attempt.schedule(inHours(24), Service).note('tomorrow')
    expect(await drain(db)).toMatchObject({ succeeded: 0 })
    vi.setSystemTime(real + 25 * HOUR)
    expect(isNear(clock.now(), new Date(real + 25 * HOUR))).toBe(true)
    await Attempt.async(Service).note('now')
    expect(await drain(db)).toMatchObject({ succeeded: 2 })
    expect(isNear((await attempt.reload()).completedAt!, new Date(real + 25 * HOUR))).toBe(true)
    expect(ran).toEqual(['tomorrow', 'now'])
  })

  it('follows a Date in the past, which stands still', async () => {
    vi.setSystemTime(new Date('2020-02-29T12:00:00Z'))
    for (let i = 0; i < 20; i++) {
      const attempt = await Attempt.async(Service).note(`${i}`)
      expect(isNear(attempt.scheduledAt, new Date('2020-02-29T12:00:00Z'))).toBe(true)
      expect(await drain(db)).toMatchObject({ succeeded: 1 })
    }
    vi.setSystemTime(new Date('2020-03-01T12:00:00Z'))
    await Attempt.schedule(inHours(1), Service).note('later')
    await clock.advance('2 hours')
    expect(await drain(db)).toMatchObject({ succeeded: 1 })
  })

  it('works with all timers replaced', async () => {
    vi.useFakeTimers()
    await Attempt.schedule(inHours(2), Service).note('later')
    await Attempt.async(Service).note('now')
    expect(await drain(db)).toMatchObject({ succeeded: 1 })
    vi.advanceTimersByTime(3 * HOUR)
    expect(await drain(db)).toMatchObject({ succeeded: 1 })
  })

  it('has the real time again after them', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: inHours(24) })
    await Attempt.async(Service).note('tomorrow')
    vi.useRealTimers()
    expect(isNear((await Attempt.async(Service).note('now')).scheduledAt, new Date())).toBe(true)
    expect(await drain(db)).toMatchObject({ succeeded: 1 })
    expect(ran).toEqual(['now'])
  })
})
