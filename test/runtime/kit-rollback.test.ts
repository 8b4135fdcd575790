import { setTimeout as sleep } from 'node:timers/promises'
import { BaseAttempt, connect, defineTargets, defineToast, hasToast, recordTarget } from '@async-gen/runtime'
import {
  computeInline,
  drain,
  expectAttempt,
  inline,
  inRollback,
  perform,
  recorded,
  refreshNow,
} from '@async-gen/runtime/testing'
import { PrismaPg } from '@prisma/adapter-pg'
import { afterAll, describe, expect, it } from 'vitest'
import { PrismaClient } from '../.app/src/generated/prisma/client.js'
import { testDatabase } from '../support/database.js'
import { gate } from '../support/gate.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

let ran: unknown[] = []

const Service = {
  note: async (what: string) => {
    ran.push(what)
    return what
  },
  addShipment: async (orderNumber: number, thenFail: boolean) => {
    const tx = await Attempt.current().tx()
    await tx.shipment.create({ data: { orderNumber } })
    await Attempt.async(Service, { tx }).note('shipped')
    if (thenFail) throw new Error('after the shipment')
    return await tx.shipment.count()
  },
  breakStatement: async () => {
    const tx = await Attempt.current().tx()
    await tx.$queryRaw`SELECT 1 / 0`
  },
  sleep: async () => void (await (await Attempt.current().tx()).$queryRaw`SELECT pg_sleep(60)::text`),
  /** Its transaction opens when its time limit of 200 ms is over. */
  openTooLate: async () => {
    await sleep(10)
    const opened = Attempt.current().tx()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
    const tx = await opened
    await sleep(50)
    await tx.$queryRaw`SELECT pg_sleep(60)::text`
  },
  /** Goes on after its time limit, when its statement has been cancelled. */
  failOnceMore: async () => {
    const tx = await Attempt.current().tx()
    await tx.$queryRaw`SELECT pg_sleep(60)::text`.catch(() => tx.$queryRaw`SELECT 1 / 0`)
  },
  progress: async () => Attempt.current().progress(0.5, 'half'),
  snooze: async () => Attempt.current().snooze('1 hour'),
  recordWithoutTx: async () => void (await Attempt.async(Service).note('child')),
}
const Orders = recordTarget({
  load: (id: number) => prisma.order.findUnique({ where: { id } }),
  methods: { ship: async () => {} },
})
class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets({ Service, Orders }),
}) {}

const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000)

/** How many rows all tables hold that the tests write to. */
async function leftovers() {
  const [row] = await query(
    url,
    `SELECT (SELECT count(*) FROM attempts)::int AS attempts, (SELECT count(*) FROM toasts)::int AS toasts,
      (SELECT count(*) FROM "Order")::int AS orders, (SELECT count(*) FROM graphile_worker.jobs)::int AS jobs`,
  )
  return row
}

afterAll(() => db.close())

describe('inRollback(prisma, run)', () => {
  it('records, asserts and drains in the transaction, and leaves nothing', async () => {
    ran = []
    const result = await inRollback(prisma, async (tx) => {
      await tx.order.create({ data: { number: 1 } })
      const attempt = await Attempt.async(Service, { tx }).addShipment(1, false)
      await expectAttempt(Attempt).toHaveRecorded(Service, 'addShipment', [1])
      expect(await drain(db)).toMatchObject({ succeeded: 2 })
      expect(await attempt.reload()).toMatchObject({ status: 'succeeded', result: 1, numAttempts: 1 })
      expect(await recorded(Attempt, { target: Service, status: 'succeeded' })).toHaveLength(2)
      expect(await Attempt.count()).toBe(2)
      return 'returned'
    })
    expect(result).toBe('returned')
    expect(ran).toEqual(['shipped'])
    expect(await leftovers()).toEqual({ attempts: 0, toasts: 0, orders: 0, jobs: 0 })
  })

  it('rolls the writes of a failed call back to its savepoint, and goes on', async () => {
    await inRollback(prisma, async (tx) => {
      await tx.order.create({ data: { number: 1 } })
      const failing = await Attempt.async(Service, { tx }).addShipment(1, true)
      await expect(perform(failing)).rejects.toThrow('after the shipment')
      const broken = await Attempt.async(Service, { tx }).breakStatement()
      await expect(perform(broken)).rejects.toThrow('division by zero')
      expect(await tx.shipment.count()).toBe(0)
      expect(failing).toMatchObject({ status: 'pending', errors: [{ message: 'after the shipment' }] })
      await expectAttempt(Attempt).not.toHaveRecorded(Service, 'note')
    })
  })

  it('rejects a perform that runs at the same time as another, and so could not store its end', async () => {
    const started = performance.now()
    const performed = inRollback(prisma, async (tx) => {
      const first = await Attempt.async(Service, { tx }).addShipment(1, false)
      const second = await Attempt.async(Service, { tx }).addShipment(1, false)
      return await Promise.allSettled([perform(first), perform(second)])
    })
    const outcomes = await performed
    expect(outcomes).toContainEqual(expect.objectContaining({ status: 'rejected' }))
    expect(outcomes).not.toContainEqual({ status: 'fulfilled', value: undefined })
    // The limit of inRollback is a minute, in which they would roll back each other for ever.
    expect(performance.now() - started).toBeLessThan(30_000)
  })

  it('ends a call at its time limit, and cancels its statement', async () => {
    await inRollback(prisma, async (tx) => {
      const attempt = await Attempt.async(Service, { tx, timeout: '200ms' }).sleep()
      await expect(perform(attempt)).rejects.toMatchObject({ code: 'TIMEOUT' })
      expect(await attempt.reload()).toMatchObject({ status: 'pending', errors: [{ code: 'TIMEOUT' }] })
    })
  })

  it('ends a call at its time limit that sends another statement, which fails', async () => {
    await inRollback(prisma, async (tx) => {
      const attempt = await Attempt.async(Service, { tx, timeout: '200ms' }).failOnceMore()
      await expect(perform(attempt)).rejects.toMatchObject({ code: 'TIMEOUT' })
      expect(await attempt.reload()).toMatchObject({ status: 'pending', errors: [{ code: 'TIMEOUT' }] })
    })
  })

  it('runs no statement of a call whose transaction opens after its time limit', async () => {
    const started = performance.now()
    await inRollback(prisma, async (tx) => {
      const attempt = await Attempt.async(Service, { tx, timeout: '200ms' }).openTooLate()
      await expect(perform(attempt)).rejects.toMatchObject({ code: 'TIMEOUT' })
      expect(await tx.order.count()).toBe(0)
    })
    expect(performance.now() - started).toBeLessThan(30_000)
  })

  it('has the methods of an attempt work on the row in the transaction', async () => {
    await inRollback(prisma, async (tx) => {
      const attempt = await Attempt.schedule(inHours(1), Service, { tx }).note('one')
      await attempt.retry({ delay: '1 minute' })
      await attempt.cancel()
      await attempt.retry()
      expect(await attempt.perform()).toBe(true)
      expect(await attempt.wait({ timeout: '1s' })).toBe('one')
      const expiring = await Attempt.async(Service, { tx }).note('two')
      await expiring.expire()
      expect((await Attempt.find(expiring.id))!.status).toBe('expired')
      expect(await Attempt.succeeded()).toHaveLength(1)
      expect(attempt.createdAt).toBeInstanceOf(Date)
    })
    expect(await leftovers()).toMatchObject({ attempts: 0, jobs: 0 })
  })

  it('keeps times, progress and snoozes right, and runs calls for later', async () => {
    ran = []
    await inRollback(prisma, async (tx) => {
      const scheduledAt = inHours(2)
      const later = await Attempt.schedule(scheduledAt, Service, { tx }).note('later')
      const reporting = await Attempt.async(Service, { tx }).progress()
      const snoozing = await Attempt.async(Service, { tx }).snooze()
      await drain(db)
      expect(await reporting.reload()).toMatchObject({ status: 'succeeded', progress: 0.5, progressMessage: 'half' })
      expect(await snoozing.reload()).toMatchObject({ status: 'pending', snoozes: 1 })
      expect(Math.abs(snoozing.scheduledAt.getTime() - inHours(1).getTime())).toBeLessThan(30_000)
      expect((await later.reload()).scheduledAt).toEqual(scheduledAt)
      await drain(db, { until: '3 hours' })
      expect(ran).toEqual(['later'])
    })
  })

  it('has calls without { tx } in the transaction too', async () => {
    ran = []
    await inRollback(prisma, async (tx) => {
      await Attempt.async(Service, { tx }).recordWithoutTx()
      expect(await drain(db)).toMatchObject({ succeeded: 2 })
    })
    expect(ran).toEqual(['child'])
    expect(await leftovers()).toMatchObject({ attempts: 0, jobs: 0 })
  })

  it('reads and refreshes toasts in the transaction', async () => {
    const name = defineToast(db, 'kit.rollback', {
      load: async (id: number) => ({ id, updatedAt: new Date(0) }),
      compute: async ({ id }) => ({ name: `shelf ${id}` }),
    })
    const shelf = { id: 1, updatedAt: new Date(0) }
    await inRollback(prisma, async () => {
      await name(shelf)
      await refreshNow(db, name, shelf)
      expect(await name(shelf)).toMatchObject({ name: 'shelf 1', toastr: { cached_at: expect.any(Date) } })
      await name({ id: 2, updatedAt: new Date(0) })
      expect(await drain(db)).toMatchObject({ refreshed: 1 })
    })
    expect(await name.peek(shelf)).toMatchObject({ error: 'Data not yet available' })
  })

  it('computes the toast of a record that the transaction has created', async () => {
    const title = hasToast(db, 'oat', 'kit_title', { compute: ({ name }) => ({ title: `Oat ${name}` }) })
    await inRollback(prisma, async (tx) => {
      const first = await tx.oat.create({ data: { name: '1' } })
      await title(first)
      await refreshNow(db, title, first)
      expect(await title(first)).toMatchObject({ title: 'Oat 1' })
      const second = await tx.oat.create({ data: { name: '2' } })
      await title(second)
      expect(await drain(db)).toMatchObject({ refreshed: 1 })
      expect(await title(second)).toMatchObject({ title: 'Oat 2' })
      computeInline(db)
      expect(await title(await tx.oat.create({ data: { name: '3' } }))).toMatchObject({ title: 'Oat 3' })
      computeInline(db, false)
      await title.expire(second)
      await tx.oat.delete({ where: { id: second.id } })
      expect(await drain(db)).toMatchObject({ refreshed: 1 })
    })
  })

  it('says so if `load` of a toast does not see the record that the transaction has created', async () => {
    const title = hasToast(db, 'oat', 'kit_loaded', {
      load: (id) => prisma.oat.findUnique({ where: { id } }),
      compute: ({ name }) => ({ title: `Oat ${name}` }),
    })
    await inRollback(prisma, async (tx) => {
      const oat = await tx.oat.create({ data: { name: '1' } })
      await title(oat)
      await expect(refreshNow(db, title, oat)).rejects.toMatchObject({ code: 'OUTSIDE_ROLLBACK' })
      await title.expire(oat)
      await expect(drain(db)).rejects.toThrow('it reads with the PrismaClient, which does not see that transaction')
    })
  })

  it('says so for a toast without a model too, unless its existingKeys say that the record is gone', async () => {
    const options = {
      load: (id: number) => prisma.oat.findUnique({ where: { id } }),
      compute: async () => ({ title: 'Oat' }),
    }
    const title = defineToast(db, 'kit.loaded', options)
    const known = defineToast(db, 'kit.known', { ...options, existingKeys: async () => new Set<string>() })
    await inRollback(prisma, async (tx) => {
      const oat = await tx.oat.create({ data: { name: '1' } })
      await title(oat)
      await expect(refreshNow(db, title, oat)).rejects.toThrow('which the transaction of inRollback() may have created')
      await known(oat)
      await refreshNow(db, known, oat)
      await title.expire(oat)
      await expect(drain(db)).rejects.toMatchObject({ code: 'OUTSIDE_ROLLBACK' })
    })
  })

  it('refuses another transaction of the client, which would commit', async () => {
    const inside = () => prisma.$transaction((own) => own.order.create({ data: { number: 1 } }))
    await inRollback(prisma, async (tx) => {
      await expect(inside()).rejects.toThrow(
        /kit-rollback.test.ts:\d+:\d+ opens a transaction of the PrismaClient inside/,
      )
      await expect(prisma.$transaction([prisma.order.create({ data: { number: 1 } })])).rejects.toMatchObject({
        code: 'OUTSIDE_ROLLBACK',
      })
      await expect(inRollback(prisma, async () => {})).rejects.toMatchObject({ code: 'OUTSIDE_ROLLBACK' })
      await tx.$transaction((nested) => nested.order.create({ data: { number: 2 } }))
      expect(await tx.order.count()).toBe(1)
    })
    expect(await leftovers()).toMatchObject({ orders: 0 })
    await inside()
    await prisma.order.deleteMany()
  })

  it('names the functions of the kit that still run at its end, because an await is missing', async () => {
    const forgotten = inRollback(prisma, async (tx) => {
      await Attempt.async(Service, { tx }).note('one')
      drain(db)
    })
    await expect(forgotten).rejects.toThrow('and drain() still ran. Write `await` before each.')
    const failed = inRollback(prisma, async () => {
      drain(db)
      throw new TypeError('in the test')
    })
    await expect(failed).rejects.toThrow(TypeError)
  })

  it('warns that a call without { tx } is in the transaction only because of the test', async () => {
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
    await inRollback(prisma, async () => void (await Attempt.async(Service).note('one')))
    expect((await warned).message).toContain('In this test it belongs to the transaction of inRollback().')
  })

  it('throws what the function throws, after the rollback', async () => {
    const failing = inRollback(prisma, async (tx) => {
      await Attempt.async(Service, { tx }).note('one')
      throw new TypeError('in the test')
    })
    await expect(failing).rejects.toThrow(TypeError)
    expect(await leftovers()).toMatchObject({ attempts: 0, jobs: 0 })
  })

  it('leaves what runs outside at the same time alone', async () => {
    const outside = await Attempt.async(Service).note('outside')
    await inRollback(prisma, async (tx) => {
      await Attempt.async(Service, { tx }).note('inside')
      expect(await Attempt.count()).toBe(2)
    })
    const [count] = await Promise.all([
      Attempt.count(),
      inRollback(prisma, async (tx) => void (await Attempt.async(Service, { tx }).note('inside'))),
      perform(outside),
    ])
    expect(count).toBe(1)
    expect((await outside.reload()).status).toBe('succeeded')
    await query(url, 'TRUNCATE attempts, graphile_worker._private_jobs CASCADE')
  })

  it('claims no call outside that begins at the same moment', async () => {
    const { open, opened } = gate()
    const outside = await Attempt.async(Service).note('outside')
    const performed = opened.then(() => outside.perform())
    await inRollback(prisma, async (tx) => {
      const inside = (await Attempt.async(Service, { tx }).note('inside')).perform()
      open()
      expect(await inside).toBe(true)
    })
    expect(await performed).toBe(true)
    expect((await outside.reload()).status).toBe('succeeded')
    await query(url, 'TRUNCATE attempts, graphile_worker._private_jobs CASCADE')
  })

  it('isolates several tests of one process from each other', async () => {
    const { open, opened } = gate()
    let ready = 0
    const one = (what: string) =>
      inRollback(prisma, async (tx) => {
        const attempt = await Attempt.async(Service, { tx }).note(what)
        // All of them claim at the same moment, so their claims could share a statement.
        if (++ready === 4) open()
        await opened
        expect(await attempt.perform()).toBe(true)
        expect(attempt.result).toBe(what)
        return await Attempt.count()
      })
    expect(await Promise.all(['a', 'b', 'c', 'd'].map(one))).toEqual([1, 1, 1, 1])
  })

  it('expires calls by the present time, not by that of the beginning of the transaction', async () => {
    await inRollback(prisma, async (tx) => {
      const attempt = await Attempt.async(Service, { tx, expiresAfter: 1 }).note('one')
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect(await drain(db)).toMatchObject({ expired: 1, succeeded: 0 })
      expect((await attempt.reload()).status).toBe('expired')
    })
  })

  it('isolates the toasts of several tests of one process, and leaves the lock timeout alone', async () => {
    const name = defineToast(db, 'kit.isolated', {
      load: async (id: number) => ({ id, updatedAt: new Date(0) }),
      compute: async ({ id }) => ({ name: `shelf ${id}` }),
    })
    const one = (id: number) =>
      inRollback(prisma, async (tx) => {
        const shelf = { id, updatedAt: new Date(0) }
        await name(shelf)
        expect(await drain(db)).toMatchObject({ refreshed: 1 })
        expect(await tx.$queryRaw`SHOW lock_timeout`).toEqual([{ lock_timeout: '0' }])
        return await name(shelf)
      })
    expect(await Promise.all([1, 2, 3, 4].map(one))).toMatchObject([1, 2, 3, 4].map((id) => ({ name: `shelf ${id}` })))
    expect(await leftovers()).toMatchObject({ toasts: 0, jobs: 0 })
  })

  it('works with a session in another time zone', async () => {
    const adapter = new PrismaPg({ connectionString: url, options: '-c TimeZone=Asia/Kolkata' })
    const own = new PrismaClient({ adapter })
    const ownDb = connect(own, { connectionString: url })
    class OwnAttempt extends BaseAttempt(ownDb, {
      model: 'Attempt',
      table: 'attempts',
      targets: defineTargets({ Service }),
    }) {}
    await inRollback(own, async (tx) => {
      const scheduledAt = inHours(2)
      const attempt = await OwnAttempt.schedule(scheduledAt, Service, { tx }).note('one')
      expect((await attempt.reload()).scheduledAt).toEqual(scheduledAt)
      expect(await drain(ownDb, { until: '1 hour' })).toMatchObject({ succeeded: 0 })
      expect(await drain(ownDb, { until: '121 minutes' })).toMatchObject({ succeeded: 1 })
    })
    await own.$disconnect()
    await ownDb.close()
  })

  it('finds the Database of an extended client', async () => {
    const extended = prisma.$extends({ name: 'nothing' })
    await inRollback(extended, async (tx) => {
      await tx.order.create({ data: { number: 5 } })
      await Attempt.async(Service, { tx: tx as never }).note('one')
      expect(await drain(db)).toMatchObject({ succeeded: 1 })
    })
    expect(await leftovers()).toMatchObject({ attempts: 0, orders: 0 })
  })

  it('leaves calls pending with inline, because the transaction never commits', async () => {
    inline(Attempt)
    await inRollback(prisma, async (tx) => {
      const attempt = await Attempt.async(Service, { tx }).note('one')
      expect(attempt.status).toBe('pending')
      expect(await drain(db)).toMatchObject({ succeeded: 1 })
    })
    inline(Attempt, false)
  })
})
