import { BaseAttempt, type Duration, defineTargets } from '@async-gen/runtime'
import { afterAll, afterEach, describe, expect, expectTypeOf, it, vi } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

let succeeded: unknown[] = []

const Poller = {
  /** Waits for three answers, as one asks a slow service. */
  poll: async (delay: Duration) => {
    const { attempt, snooze } = Attempt.current()
    return attempt.snoozes < 2 ? snooze(delay) : 'ready'
  },
  pollInTransaction: async (number: number) => {
    const { snooze, tx } = Attempt.current()
    await (await tx()).order.create({ data: { number, customerToken: 'tok' } })
    return snooze('1 hour')
  },
  byHand: async (through: 'client' | 'transaction') => {
    const { attempt, tx } = Attempt.current()
    const client = through === 'client' ? db.prisma : await tx()
    const data = { status: 'pending', scheduledAt: new Date(Date.now() + 3_600_000), numAttempts: 0 } as const
    await client.attempt.update({ where: { id: attempt.id }, data })
    if (through === 'transaction')
      await (await tx()).order.create({ data: { number: Number(attempt.id), customerToken: 'by hand' } })
    return 'ignored'
  },
  snooze: async (delay: Duration) => Attempt.current().snooze(delay),
  changeInTransaction: async (sql: string) => {
    const { attempt, tx } = Attempt.current()
    await (await tx()).$executeRawUnsafe(sql, attempt.id)
    await (await tx()).order.create({ data: { number: 1, customerToken: 'by hand' } })
  },
  forget: async () => {
    Attempt.current().snooze('1 hour')
    return 'done'
  },
  throwIt: async () => {
    throw Attempt.current().snooze('1 hour')
  },
  atOnce: async () => Attempt.current().snooze(0),
  failAfterSnooze: async () => {
    if (Attempt.current().attempt.snoozes === 0) return Attempt.current().snooze(0)
    throw new Error('no answer')
  },
}

class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Poller }) }) {
  override async handleSuccess(result: unknown) {
    await super.handleSuccess(result)
    succeeded.push(result)
  }
}

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
const work = () => runJobs(url, Attempt)

/** Works until nothing is pending. A snooze lasts a second at least. */
const workOff = async () => {
  for (let rounds = 0; rounds < 5; rounds++) {
    await work()
    await rows(`UPDATE attempts SET scheduled_at = now() WHERE status = 'pending'`)
  }
}

afterEach(async () => {
  succeeded = []
  await rows('TRUNCATE attempts, "Order", graphile_worker._private_jobs CASCADE')
})
afterAll(() => db.close())

describe('a call that returns snooze()', () => {
  it('is pending again, without an error and without a counted run', async () => {
    const attempt = await Attempt.async(Poller).poll('1 hour')
    await attempt.perform()
    expect(attempt).toMatchObject({ status: 'pending', numAttempts: 0, snoozes: 1, errors: [], isStarted: false })
    expect(attempt.scheduledAt.getTime() - Date.now()).toBeGreaterThan(3_590_000)
    expect(await rows('SELECT locked_by, completed_at, result FROM attempts')).toEqual([
      { locked_by: null, completed_at: null, result: null },
    ])
    expect(succeeded).toEqual([])
  })

  it('runs again until it returns something else, more often than maxAttempts', async () => {
    const { id } = await Attempt.async(Poller, { maxAttempts: 1 }).poll(0)
    await workOff()
    const attempt = await Attempt.find(id)
    expect(attempt).toMatchObject({ status: 'succeeded', result: 'ready', numAttempts: 1, snoozes: 2 })
    expect(succeeded).toEqual(['ready'])
  })

  it('commits what it wrote through tx() together with the snooze', async () => {
    const attempt = await Attempt.async(Poller).pollInTransaction(7)
    await attempt.perform()
    expect(attempt).toMatchObject({ status: 'pending', snoozes: 1, numAttempts: 0 })
    expect(await rows('SELECT number FROM "Order"')).toEqual([{ number: 7 }])
  })

  it('waits for a second at least, so that it keeps no worker busy', async () => {
    const attempt = await Attempt.async(Poller).atOnce()
    await attempt.perform()
    expect(attempt.scheduledAt.getTime() - attempt.updatedAt.getTime()).toBeGreaterThan(900)
    expect(attempt).toMatchObject({ status: 'pending', snoozes: 1 })
  })

  it('warns if it does not return the snooze, and only then, and fails if it throws it', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockReturnValue()
    for (const attempt of [await Attempt.async(Poller).poll(0), await Attempt.async(Poller).atOnce()])
      await attempt.perform()
    expect(warn).not.toHaveBeenCalled()
    const forgetful = await Attempt.async(Poller).forget()
    await forgetful.perform()
    expect(forgetful.result).toBe('done')
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('Return what snooze() returns'), {
      code: 'SNOOZE_NOT_RETURNED',
    })
    warn.mockRestore()
    const throwing = await Attempt.async(Poller).throwIt()
    await throwing.perform()
    expect(throwing.errors).toMatchObject([{ message: expect.stringContaining('return snooze(…)') }])
  })

  it('has failed runs counted from 1 after that', async () => {
    const { id } = await Attempt.async(Poller, { maxAttempts: 1 }).failAfterSnooze()
    await workOff()
    expect(await Attempt.find(id)).toMatchObject({
      status: 'failed',
      numAttempts: 1,
      snoozes: 1,
      errors: [{ number: 1 }],
    })
  })

  it.each([
    ['later' as Duration, 'snooze: "later" is not a duration'],
    [-1, 'snooze: -1 is not a duration'],
    ['290000 years' as Duration, 'snooze: 290000 years is too long. It must be at most 1,000 years.'],
    [Number.MAX_VALUE, 'is too long'],
  ])('fails with the duration %s', async (delay, message) => {
    const attempt = await Attempt.async(Poller).snooze(delay)
    await attempt.perform()
    expect(attempt.errors).toMatchObject([{ code: 'INVALID_DURATION', message: expect.stringContaining(message) }])
    await expect(attempt.retry({ delay: '1001 years' })).rejects.toThrow('delay: 1001 years is too long')
  })

  it('can be cancelled, retried and counted from SQL', async () => {
    const attempt = await Attempt.async(Poller).poll('1 hour')
    await attempt.perform()
    await attempt.retry()
    expect(attempt.isDue).toBe(true)
    await attempt.perform()
    await attempt.cancel()
    expect(await rows('SELECT status, snoozes FROM attempts')).toEqual([{ status: 'cancelled', snoozes: 2 }])
  })

  it('has the type of its other results', async () => {
    const attempt = await Attempt.async(Poller).poll(0)
    expectTypeOf(attempt.result).toEqualTypeOf<'ready' | undefined>()
  })
})

describe('a call that changes its own row', () => {
  it.each(['client', 'transaction'] as const)('through the %s: what it returns is ignored', async (through) => {
    const attempt = await Attempt.async(Poller).byHand(through)
    await attempt.perform()
    expect(attempt).toMatchObject({ status: 'pending', numAttempts: 0, errors: [] })
    expect(attempt.scheduledAt.getTime()).toBeGreaterThan(Date.now() + 3_000_000)
    const orders = await rows('SELECT "customerToken" FROM "Order"')
    expect(orders).toEqual(through === 'transaction' ? [{ customerToken: 'by hand' }] : [])
  })
  it.each([
    'DELETE FROM attempts WHERE id = $1',
    'UPDATE attempts SET locked_by = 99999 WHERE id = $1',
    'UPDATE attempts SET num_attempts = 7 WHERE id = $1',
  ])('so that its success cannot be stored fails, and its transaction rolls back: %s', async (sql) => {
    const attempt = await Attempt.async(Poller).changeInTransaction(sql)
    await attempt.perform()
    expect(attempt).toMatchObject({
      status: 'pending',
      numAttempts: 1,
      errors: [{ code: 'OWN_ROW_CHANGED', message: expect.stringContaining('its success cannot be stored') }],
    })
    expect(await rows('SELECT FROM "Order"')).toEqual([])
  })
})
