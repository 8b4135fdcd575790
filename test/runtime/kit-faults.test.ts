import { BaseAttempt, defineTargets, recordTarget, sweep } from '@async-gen/runtime'
import { drain, failOnce, inRollback, loseRun, perform } from '@async-gen/runtime/testing'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

let sent: number[] = []
let succeeded = 0

class Mailer {
  static readonly prefix = 'mail'
  /** An effect that happens outside of the transaction, and one inside. */
  static async send(number: number) {
    sent.push(number)
    const tx = await Attempt.current().tx()
    await tx.order.create({ data: { number } })
    return `${Mailer.prefix} ${number}`
  }
  static fail() {
    throw new Error('no answer')
  }
}
const Sums = { add: (a: number, b: number) => a + b }
const Orders = recordTarget({
  load: (id: number) => prisma.order.findUnique({ where: { id } }),
  methods: { ship: async (order) => order.number },
})
class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets({ Mailer, Sums, Orders }),
}) {
  override async handleSuccess(result: unknown) {
    await super.handleSuccess(result)
    succeeded++
  }
}

afterEach(async () => {
  vi.restoreAllMocks()
  sent = []
  succeeded = 0
  await query(url, 'TRUNCATE attempts, "Order", graphile_worker._private_jobs CASCADE')
})
afterAll(() => db.close())

describe('failOnce(target, method, error)', () => {
  it('has the next call of a class throw, and the one after that run', async () => {
    await perform(await Attempt.async(Mailer).send(1))
    const { send } = Mailer
    failOnce(Mailer, 'send', new RangeError('The mail server is full'))
    const attempt = await Attempt.async(Mailer).send(2)
    await expect(perform(attempt)).rejects.toThrow(RangeError)
    expect(attempt.errors).toMatchObject([{ name: 'RangeError', message: 'The mail server is full' }])
    expect(Mailer.send).toBe(send)
    expect(await perform(attempt)).toBe('mail 2')
    expect(sent).toEqual([1, 2])
  })

  it('throws at once from a function that returns no promise, and rejects from one that does', async () => {
    failOnce(Sums, 'add', new Error('overflow'))
    expect(() => Sums.add(1, 2)).toThrow('overflow')
    expect(Sums.add(1, 2)).toBe(3)
    failOnce(Mailer, 'send', new Error('full'))
    await expect(Mailer.send(1)).rejects.toThrow('full')
  })

  it('fails as many calls as it was called for, in that order', async () => {
    failOnce(Sums, 'add', new Error('first'))
    failOnce(Sums, 'add', new Error('second'))
    expect(() => Sums.add(1, 2)).toThrow('first')
    expect(() => Sums.add(1, 2)).toThrow('second')
    expect(Sums.add(1, 2)).toBe(3)
  })

  it('fails a call of any record, or of one', async () => {
    const [one, two] = await prisma.order.createManyAndReturn({ data: [{ number: 1 }, { number: 2 }] })
    const ship = async (order: { id: number }) => await perform(await Attempt.async(Orders.for(order)).ship())
    failOnce(Orders.for(two!), 'ship', new Error('order 2'))
    expect(await ship(one!)).toBe(1)
    await expect(ship(two!)).rejects.toThrow('order 2')
    expect(await ship(two!)).toBe(2)
    failOnce(Orders, 'ship', new Error('any'))
    await expect(ship(one!)).rejects.toThrow('any')
  })

  it('restores a method that was not called', () => {
    const { add } = Sums
    const restore = failOnce(Sums, 'add', new Error('overflow'))
    expect(Sums.add).not.toBe(add)
    restore()
    restore()
    expect(Sums.add).toBe(add)
  })

  it('refuses methods that do not exist or cannot be replaced', () => {
    const Frozen = Object.freeze({ call: () => {} })
    expect(() => failOnce(Frozen, 'call', new Error('x'))).toThrow(
      'failOnce() cannot replace call: its object is frozen.',
    )
    // @ts-expect-error: there is no such method
    expect(() => failOnce(Sums, 'subtract', new Error('x'))).toThrow('there is no such method')
  })

  it('leaves room for spies: a method that a test replaces is the one that runs', async () => {
    await perform(await Attempt.async(Sums).add(1, 2))
    vi.spyOn(Sums, 'add').mockReturnValue(42)
    expect(await perform(await Attempt.async(Sums).add(1, 2))).toBe(42)
  })
})

describe('loseRun(attempt)', () => {
  it('runs the call, rolls its transaction back, and leaves the row to a worker that is gone', async () => {
    const attempt = await Attempt.async(Mailer).send(1)
    await loseRun(attempt)
    expect(sent).toEqual([1])
    expect(succeeded).toBe(0)
    expect(await prisma.order.count()).toBe(0)
    expect(attempt).toMatchObject({ status: 'running', numAttempts: 1 })
    expect(await query(url, 'SELECT result, locked_by IS NULL AS free FROM attempts')).toEqual([
      { result: null, free: false },
    ])
  })

  it('has drain run the call again, which happens twice outside of its transaction and once inside', async () => {
    const attempt = await Attempt.async(Mailer).send(1)
    await loseRun(attempt)
    expect(await drain(db)).toMatchObject({ rescued: 1, succeeded: 1 })
    expect(sent).toEqual([1, 1])
    expect(await prisma.order.count()).toBe(1)
    expect(await attempt.reload()).toMatchObject({
      status: 'succeeded',
      numAttempts: 2,
      errors: [{ name: 'WorkerDied', number: 1 }],
    })
  })

  it('has a sweep release the row too', async () => {
    const { id } = await Attempt.async(Mailer).send(1)
    await loseRun(Attempt, id)
    expect(await sweep(db)).toMatchObject({ rescued: 1 })
    expect((await Attempt.find(id))!.status).toBe('pending')
  })

  it('loses the error of a call that throws, and fails after the last run', async () => {
    const attempt = await Attempt.async(Mailer, { maxAttempts: 1 }).fail()
    await loseRun(attempt)
    expect(attempt).toMatchObject({ status: 'running', errors: [] })
    expect(await drain(db)).toMatchObject({ rescued: 1, failed: 0 })
    expect((await attempt.reload()).status).toBe('failed')
  })

  it('works for a call for later, and in a transaction that rolls back', async () => {
    await inRollback(prisma, async (tx) => {
      const inOneHour = new Date(Date.now() + 3_600_000)
      const attempt = await Attempt.schedule(inOneHour, Mailer, { tx }).send(1)
      await loseRun(attempt)
      expect(await tx.order.count()).toBe(0)
      expect(await drain(db)).toMatchObject({ rescued: 1, succeeded: 1 })
      expect(await tx.order.count()).toBe(1)
    })
    expect(await prisma.order.count()).toBe(0)
  })

  it('says how to run the call again', async () => {
    const attempt = await Attempt.async(Sums).add(1, 2)
    await loseRun(attempt)
    await expect(loseRun(attempt)).rejects.toThrow('If loseRun() has run it, drain(db) releases it first.')
    await drain(db)
  })

  it('refuses an attempt that has ended or does not exist', async () => {
    const attempt = await Attempt.async(Sums).add(1, 2)
    await perform(attempt)
    await expect(loseRun(attempt)).rejects.toMatchObject({ code: 'INVALID_STATE' })
    await expect(loseRun(Attempt, 0)).rejects.toThrow('Attempt 0 does not exist.')
  })
})
