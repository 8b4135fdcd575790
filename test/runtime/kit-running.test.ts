import { BaseAttempt, defineTargets, defineToast } from '@async-gen/runtime'
import { drain, failOnce, inline, perform, refreshNow } from '@async-gen/runtime/testing'
import { afterAll, afterEach, describe, expect, expectTypeOf, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

let ran: unknown[] = []

const Service = {
  note: async (what: string) => {
    ran.push(what)
    return { noted: what }
  },
  fail: async () => {
    throw new TypeError('no answer')
  },
  failOnce: async () => {
    ran.push(`run ${Attempt.current().run}`)
    if (Attempt.current().run === 1) throw new Error('not yet')
  },
  recordNext: async (count: number): Promise<void> => {
    ran.push(count)
    if (count > 1) await Attempt.async(Service).recordNext(count - 1)
  },
  snoozeOnce: async () => {
    const { attempt, snooze } = Attempt.current()
    ran.push(`after ${attempt.snoozes}`)
    return attempt.snoozes === 0 ? snooze('1 hour') : undefined
  },
  cancelItself: async () => {
    await Attempt.current().attempt.cancel()
  },
  saveOrder: async (number: number, thenFail: boolean) => {
    const tx = await Attempt.current().tx()
    await tx.order.create({ data: { number } })
    if (thenFail) throw new Error('after the order')
  },
  recordInTransaction: async () => {
    const tx = await Attempt.current().tx()
    const attempt = await Attempt.async(Service, { tx }).note('child')
    ran.push(attempt.status)
  },
}

class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Service }) }) {
  override async handlePerformError(error: unknown) {
    ran.push('hook')
    await super.handlePerformError(error)
  }
}
class UrgentAttempt extends Attempt {
  override async around(next: () => Promise<unknown>) {
    ran.push('urgent')
    return await super.around(next)
  }
}

const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000)
const nothing = { succeeded: 0, failed: 0, snoozed: 0, cancelled: 0, expired: 0, rescued: 0, refreshed: 0 }
const pause = (target: string) =>
  query(url, `INSERT INTO async_pauses (model, target, method, until) VALUES ('Attempt', $1, '*', now() + '1 hour')`, [
    target,
  ])

afterEach(async () => {
  ran = []
  inline(Attempt, false)
  await query(url, 'TRUNCATE attempts, toasts, async_pauses, "Order", graphile_worker._private_jobs CASCADE')
})
afterAll(() => db.close())

describe('perform(attempt)', () => {
  it('runs a call and returns what it returned', async () => {
    const attempt = await Attempt.async(Service).note('one')
    const result = await perform(attempt)
    expect(result).toEqual({ noted: 'one' })
    expectTypeOf(result).toEqualTypeOf<{ noted: string } | undefined>()
    expect(attempt).toMatchObject({ status: 'succeeded', numAttempts: 1 })
  })

  it('throws the error of the call itself, which the row has too', async () => {
    const attempt = await Attempt.async(Service).fail()
    await expect(perform(attempt)).rejects.toThrow(TypeError)
    expect(attempt).toMatchObject({ status: 'pending', errors: [{ message: 'no answer' }] })
    expect(ran).toEqual(['hook'])
  })

  it('only records the error with rethrow: false', async () => {
    const attempt = await Attempt.async(Service, { maxAttempts: 1 }).fail()
    expect(await perform(attempt, { rethrow: false })).toBeUndefined()
    expect(attempt.status).toBe('failed')
  })

  it('runs a call for later, and the next run of a failed one, as if its time had come', async () => {
    const attempt = await Attempt.schedule(inHours(48), Service).failOnce()
    await perform(attempt, { rethrow: false })
    expect(attempt.scheduledAt.getTime()).toBeLessThan(Date.now() + 60_000)
    await perform(attempt)
    expect(attempt.status).toBe('succeeded')
    expect(ran).toEqual(['run 1', 'hook', 'run 2'])
  })

  it('refuses a call that has ended, is paused or has expired', async () => {
    const attempt = await Attempt.async(Service).note('one')
    await perform(attempt)
    await expect(perform(attempt)).rejects.toMatchObject({ code: 'INVALID_STATE' })
    await pause('Service')
    await expect(perform(await Attempt.async(Service).note('two'))).rejects.toMatchObject({ code: 'CALL_NOT_RUN' })
    await query(url, 'TRUNCATE async_pauses')
    const expired = await Attempt.async(Service, { expiresAfter: 1 }).note('three')
    await new Promise((resolve) => setTimeout(resolve, 20))
    await expect(perform(expired)).rejects.toThrow('it has expired at')
    expect(ran).toEqual(['one'])
  })

  it('says how to run a call whose transaction is still open', async () => {
    await prisma.$transaction(async (tx) => {
      const attempt = await Attempt.async(Service, { tx }).note('one')
      await expect(perform(attempt)).rejects.toThrow('use inRollback(prisma, …) or drain(db, { tx })')
    })
  })
})

describe('drain(db)', () => {
  it('runs what is due in the order of a worker: priority, time, id', async () => {
    await Attempt.async(Service).note('second')
    await Attempt.async(Service).note('third')
    await Attempt.async(Service, { priority: 1 }).note('last')
    await Attempt.async(Service, { priority: 50 }).note('first')
    await Attempt.async(Service, { scheduledAt: inHours(-1) }).note('earlier')
    await Attempt.schedule(inHours(1), Service).note('not due')
    expect(await drain(db)).toEqual({ ...nothing, succeeded: 5 })
    expect(ran).toEqual(['first', 'earlier', 'second', 'third', 'last'])
    expect(await drain(db)).toEqual(nothing)
  })

  it('runs each call as its own class, with its hooks', async () => {
    const { id } = await UrgentAttempt.async(Service).note('one')
    await drain(db)
    expect(ran).toEqual(['urgent', 'one'])
    expect((await Attempt.find(id))!.status).toBe('succeeded')
  })

  it('throws the first error, and leaves the rest', async () => {
    const failing = await Attempt.async(Service).fail()
    await Attempt.async(Service).note('later')
    await expect(drain(db)).rejects.toThrow(TypeError)
    expect(ran).toEqual(['hook'])
    expect(await failing.reload()).toMatchObject({ status: 'pending', numAttempts: 1 })
  })

  it('names the attempt in the cause of the error, at the end of the causes that it has', async () => {
    const { id } = await Attempt.async(Service).fail()
    const message = `drain() stopped at Attempt ${id} (Service.fail). With { throwErrors: false } it goes on.`
    await expect(drain(db)).rejects.toMatchObject({ message: 'no answer', cause: { message } })
    const error = new Error('outer', { cause: new Error('inner') })
    for (let i = 0; i < 2; i++) {
      failOnce(Service, 'note', error)
      const attempt = await Attempt.async(Service, { maxAttempts: 1 }).note('one')
      await expect(drain(db)).rejects.toMatchObject({
        message: 'outer',
        cause: {
          message: 'inner',
          cause: { message: expect.stringContaining(`Attempt ${attempt.id} (`) },
        },
      })
    }
  })

  it('goes on after errors with throwErrors: false, and counts how runs end', async () => {
    await Attempt.async(Service, { maxAttempts: 1 }).fail()
    await Attempt.async(Service).note('one')
    await Attempt.async(Service).snoozeOnce()
    await Attempt.async(Service).cancelItself()
    expect(await drain(db, { throwErrors: false })).toEqual({
      ...nothing,
      succeeded: 1,
      failed: 1,
      snoozed: 1,
      cancelled: 1,
    })
  })

  it('runs the calls that calls record, unless recursive is false', async () => {
    await Attempt.async(Service).recordNext(3)
    expect(await drain(db, { recursive: false })).toMatchObject({ succeeded: 1 })
    expect(await drain(db)).toMatchObject({ succeeded: 2 })
    expect(ran).toEqual([3, 2, 1])
  })

  it('stops an endless loop, and names the call that repeats', async () => {
    await Attempt.async(Service).note('one')
    await Attempt.async(Service).recordNext(1_000_000)
    await expect(drain(db, { limit: 20 })).rejects.toThrow(
      'drain() has run 20 calls, and more are due. Service.recordNext ran 19 times: does it record itself again?',
    )
  })

  it('leaves paused calls, and expires those whose time has passed', async () => {
    await pause('Service')
    await Attempt.async(Service).note('paused')
    const expired = await Attempt.async(Service, { expiresAfter: 1 }).note('expired')
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await drain(db)).toEqual({ ...nothing, expired: 1 })
    expect((await expired.reload()).status).toBe('expired')
    expect(ran).toEqual([])
  })

  it('refuses a misspelt option', async () => {
    // @ts-expect-error: the option is called until
    await expect(drain(db, { untill: '1 hour' })).rejects.toMatchObject({ code: 'UNKNOWN_OPTION' })
  })

  it('leaves a row that another transaction has locked', async () => {
    await Attempt.async(Service).note('locked')
    await Attempt.async(Service).note('free')
    await prisma.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT id FROM attempts ORDER BY id LIMIT 1 FOR UPDATE`
      expect(await drain(db)).toMatchObject({ succeeded: 1 })
    })
    expect(ran).toEqual(['free'])
  })

  it('runs in an open transaction, with a savepoint for each call that asks for its transaction', async () => {
    const rolledBack = prisma.$transaction(async (tx) => {
      await Attempt.async(Service, { tx }).saveOrder(1, false)
      await Attempt.async(Service, { tx, maxAttempts: 1 }).saveOrder(2, true)
      await Attempt.async(Service, { tx }).note('one')
      expect(await drain(db, { tx, throwErrors: false })).toEqual({ ...nothing, succeeded: 2, failed: 1 })
      expect(await tx.order.findMany({ select: { number: true } })).toEqual([{ number: 1 }])
      expect(await drain(db)).toEqual(nothing)
      throw new Error('roll back')
    })
    await expect(rolledBack).rejects.toThrow('roll back')
    expect(await prisma.order.count()).toBe(0)
    expect(await Attempt.count()).toBe(0)
  })

  it('refreshes toasts after the calls, and throws the error of a computation', async () => {
    const slow = defineToast(db, 'kit.slow', {
      load: async (id: number) => ({ id, updatedAt: new Date(0) }),
      compute: async ({ id }) => {
        if (id === 2) throw new RangeError('no such shelf')
        ran.push(`toast ${id}`)
        return { id }
      },
    })
    const parent = (id: number) => ({ id, updatedAt: new Date(0) })
    await slow(parent(1))
    await Attempt.async(Service).note('call')
    expect(await drain(db)).toEqual({ ...nothing, succeeded: 1, refreshed: 1 })
    expect(ran).toEqual(['call', 'toast 1'])
    expect(await slow(parent(1))).toMatchObject({ id: 1 })
    await slow(parent(2))
    await expect(drain(db)).rejects.toThrow(RangeError)
  })
})

describe('drain(db, { until })', () => {
  it('runs calls for later in their order, with the retries and calls that fall between them', async () => {
    await Attempt.schedule(inHours(2), Service).note('in 2 hours')
    await Attempt.schedule(inHours(1.5), Service).failOnce()
    await Attempt.schedule(inHours(30), Service).note('in 30 hours')
    await Attempt.async(Service).snoozeOnce()
    const result = await drain(db, { until: '1 day', throwErrors: false })
    expect(result).toEqual({ ...nothing, succeeded: 3, failed: 1, snoozed: 1 })
    expect(ran).toEqual(['after 0', 'after 1', 'run 1', 'hook', 'run 2', 'in 2 hours'])
    expect(await drain(db, { until: inHours(31) })).toMatchObject({ succeeded: 1 })
  })

  it('keeps the clock: what is for later afterwards is for later again', async () => {
    await Attempt.schedule(inHours(2), Service).recordNext(2)
    await drain(db, { until: '1 hour' })
    expect(ran).toEqual([])
    await drain(db, { until: '3 hours' })
    expect(ran).toEqual([2, 1])
    const { scheduledAt } = await Attempt.async(Service).note('now')
    expect(Math.abs(scheduledAt.getTime() - Date.now())).toBeLessThan(10_000)
  })

  it('expires calls whose time passes by then, although nothing else is due', async () => {
    await query(url, `INSERT INTO async_pauses (model, target, method) VALUES ('Attempt', '*', '*')`)
    await Attempt.async(Service, { expiresAfter: '30 minutes' }).note('too late')
    expect(await drain(db, { until: '20 minutes' })).toEqual(nothing)
    expect(await drain(db, { until: '1 hour' })).toEqual({ ...nothing, expired: 1 })
  })

  it('runs calls whose pause ends by then, and expires the others at their time', async () => {
    await pause('Service')
    await Attempt.async(Service).note('after the pause')
    await Attempt.async(Service, { expiresAfter: '30 minutes' }).note('too late')
    expect(await drain(db, { until: '2 hours' })).toEqual({ ...nothing, succeeded: 1, expired: 1 })
  })
})

describe('inline(Attempt)', () => {
  it('T11 runs a call before async() resolves', async () => {
    inline(Attempt)
    const attempt = await Attempt.async(Service).note('one')
    expect(attempt).toMatchObject({ status: 'succeeded', result: { noted: 'one' } })
    expect((await UrgentAttempt.async(Service).note('two')).status).toBe('succeeded')
    inline(Attempt, false)
    expect((await Attempt.async(Service).note('three')).status).toBe('pending')
    expect(ran).toEqual(['one', 'urgent', 'two'])
  })

  it('T11 runs a call right after the commit of the transaction that recorded it', async () => {
    inline(Attempt)
    const attempt = await prisma.$transaction(async (tx) => {
      const attempt = await Attempt.async(Service, { tx }).note('one')
      ran.push(attempt.status)
      return attempt
    })
    expect(ran).toEqual(['pending', 'one'])
    expect(attempt.status).toBe('succeeded')
  })

  it('runs nothing after a rollback', async () => {
    inline(Attempt)
    const rolledBack = prisma.$transaction(async (tx) => {
      await Attempt.async(Service, { tx }).note('one')
      throw new Error('roll back')
    })
    await expect(rolledBack).rejects.toThrow('roll back')
    expect(ran).toEqual([])
  })

  it('runs what a call records in its transaction after the commit of that', async () => {
    inline(Attempt)
    const attempt = await Attempt.async(Service).recordInTransaction()
    expect(ran).toEqual(['pending', 'child'])
    expect(attempt.status).toBe('succeeded')
  })

  it('records errors, and leaves calls for later and paused ones', async () => {
    inline(Attempt)
    const failed = await Attempt.async(Service).fail()
    expect(failed).toMatchObject({ status: 'pending', numAttempts: 1, errors: [{ message: 'no answer' }] })
    expect((await Attempt.schedule(inHours(1), Service).note('later')).status).toBe('pending')
    await pause('Service')
    expect((await Attempt.async(Service).note('paused')).status).toBe('pending')
    expect(ran).toEqual(['hook'])
  })

  it('stops calls that record themselves without end', async () => {
    inline(Attempt)
    const recording = Attempt.async(Service).recordNext(1_000_000)
    await expect(recording).rejects.toThrow('Does Service.recordNext record itself again?')
    expect(ran).toHaveLength(100)
  })

  it('says so if it cannot see the commit', async () => {
    inline(Attempt)
    const { PrismaClient } = await import('../.app/src/generated/prisma/client.js')
    const { PrismaPg } = await import('@prisma/adapter-pg')
    const other = new PrismaClient({ adapter: new PrismaPg({ connectionString: url }) })
    const recording = other.$transaction((tx) => Attempt.async(Service, { tx }).note('one'))
    await expect(recording).rejects.toMatchObject({ code: 'TRANSACTION_NOT_WATCHED' })
    await other.$disconnect()
  })
})

describe('refreshNow(db, toast, parent)', () => {
  const shelf = defineToast(db, 'kit.refreshed', {
    load: async (id: number) => ({ id, updatedAt: new Date(0) }),
    compute: async ({ id }) => {
      ran.push(`shelf ${id}`)
      return { id }
    },
  })
  const parent = (id: number) => ({ id, updatedAt: new Date(0) })

  it('computes a value although no read has requested it, and computes it again', async () => {
    await refreshNow(db, shelf, parent(1))
    expect(await shelf.peek(parent(1))).toMatchObject({ id: 1 })
    await refreshNow(db, shelf, parent(1))
    expect(ran).toEqual(['shelf 1', 'shelf 1'])
  })

  it('refuses a toast that another process computes', async () => {
    await shelf(parent(1))
    await query(url, "UPDATE toasts SET locked_by = 1 WHERE name = 'kit.refreshed'")
    await expect(refreshNow(db, shelf, parent(1))).rejects.toMatchObject({ code: 'CALL_NOT_RUN' })
  })
})
