import { setTimeout as sleep } from 'node:timers/promises'
import { BaseAttempt, connect, type Duration, defineTargets, TimeoutError } from '@async-gen/runtime'
import { PrismaPg } from '@prisma/adapter-pg'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { lingeringCalls } from '../../runtime/src/attempt/lingering.js'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { query } from '../support/postgres.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { PrismaClient } = await import('../.app/src/generated/prisma/client.js')

let signal: AbortSignal | undefined
/** Resolves what the calls wait for that ignore their signal. */
let release = () => {}
let orders = 0

const Slow = {
  obedient: async () => {
    signal = Attempt.current().signal
    await sleep(60_000, undefined, { signal })
  },
  deaf: async () => {
    signal = Attempt.current().signal
    await new Promise<void>((resolve) => {
      release = resolve
    })
    return 'too late'
  },
  deafInTransaction: async () => {
    const { tx } = Attempt.current()
    const client = await tx()
    await client.order.create({ data: { number: ++orders, customerToken: 'tok' } })
    await Slow.deaf()
    lateError = await Promise.allSettled([
      client.order.create({ data: { number: ++orders, customerToken: 'late' } }),
      tx(),
    ])
  },
  statement: async () => {
    const tx = await Attempt.current().tx()
    await tx.order.create({ data: { number: ++orders, customerToken: 'tok' } })
    await tx.$executeRawUnsafe('SELECT pg_sleep(60)')
  },
  ownRow: async () => {
    const { tx, attempt } = Attempt.current()
    await (await tx()).attempt.update({ where: { id: attempt.id }, data: { priority: 30 } })
    await Slow.deaf()
  },
  fast: async () => {
    signal = Attempt.current().signal
    await sleep(20)
    return 'in time'
  },
}
let lateError: PromiseSettledResult<unknown>[] = []

class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets({ Slow }, { timeouts: { Slow: '1 minute', 'Slow.obedient': '100ms' } }),
}) {}

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
const work = () => runJobs(url, Attempt)

afterEach(async () => {
  release()
  signal = undefined
  await rows('TRUNCATE attempts, "Order", graphile_worker._private_jobs CASCADE')
})
afterAll(() => db.close())

describe('the time limit of a run', () => {
  it('aborts the signal with a TimeoutError, and the run fails with that error', async () => {
    const attempt = await Attempt.async(Slow, { maxAttempts: 2 }).obedient()
    await attempt.perform()
    expect(signal?.reason).toBeInstanceOf(TimeoutError)
    expect(attempt).toMatchObject({
      status: 'pending',
      numAttempts: 1,
      errors: [{ name: 'TimeoutError', code: 'TIMEOUT', message: 'The run took longer than its time limit of 0.1 s.' }],
    })
  })

  it('of a call counts before that of its method, and that of the method before that of its target', async () => {
    const limits = async (timeout?: Duration) => {
      const attempt = await Attempt.async(Slow, { timeout, maxAttempts: 1 }).obedient()
      await attempt.perform()
      return attempt.errors[0]?.message
    }
    expect(await limits()).toContain('0.1 s')
    expect(await limits('150ms')).toContain('0.15 s')
    const attempt = await Attempt.async(Slow).fast()
    await attempt.perform()
    expect(attempt).toMatchObject({ status: 'succeeded', result: 'in time', timeoutMs: null })
  })

  it.each([0, -5])('of %s ms, which SQL may set, leaves no time: the method does not begin', async (limit) => {
    const attempt = await Attempt.async(Slow, { maxAttempts: 1 }).fast()
    await rows('UPDATE attempts SET timeout_ms = $1', [limit])
    await attempt.perform()
    expect(attempt).toMatchObject({
      status: 'failed',
      timeoutMs: limit,
      errors: [{ code: 'TIMEOUT', message: expect.stringContaining('column timeout_ms') }],
    })
    expect(signal).toBeUndefined()
  })

  it('aborts nothing after a call that has ended in time', async () => {
    const attempt = await Attempt.async(Slow, { timeout: '200ms' }).fast()
    await attempt.perform()
    await sleep(250)
    expect(attempt.status).toBe('succeeded')
    expect(signal).toMatchObject({ aborted: false })
  })

  it('may be as long as a timer of Node.js takes', async () => {
    const attempt = await Attempt.async(Slow, { timeout: 2 ** 31 - 1 }).fast()
    await attempt.perform()
    expect(attempt).toMatchObject({ status: 'succeeded', timeoutMs: 2 ** 31 - 1 })
  })

  it.each([0, -1, Number.NaN, 2 ** 31, '25 days', 'soon'])('cannot be %s', async (timeout) => {
    await expect(Attempt.async(Slow, { timeout: timeout as Duration }).fast()).rejects.toThrow(/timeout/)
    expect(() => defineTargets({ Slow }, { timeouts: { Slow: timeout as Duration } })).toThrow(/timeouts\["Slow/)
  })

  it('is refused for a target or a method that does not exist', () => {
    expect(() => defineTargets({ Slow }, { timeouts: { Fast: '1s' } as never })).toThrow('No target is called "Fast"')
    expect(() => defineTargets({ Slow }, { timeouts: { 'Slow.gone': '1s' } as never })).toThrow('no method "gone"')
  })

  it('ends a run whose call ignores the signal, and what that call returns later changes nothing', async () => {
    const { id } = await Attempt.async(Slow, { timeout: '100ms', maxAttempts: 1 }).deaf()
    await work()
    expect(await rows('SELECT status, result FROM attempts')).toEqual([{ status: 'failed', result: null }])
    expect(signal?.aborted).toBe(true)
    release()
    await sleep(100)
    expect((await Attempt.find(id))?.result).toBeUndefined()
    expect(await rows('SELECT status, num_attempts FROM attempts')).toEqual([{ status: 'failed', num_attempts: 1 }])
  })

  it('rolls the transaction back, and the call cannot write through it any more', async () => {
    await Attempt.async(Slow, { timeout: '2s', maxAttempts: 1 }).deafInTransaction()
    await work()
    expect(await rows("SELECT status, errors -> 0 ->> 'code' AS code FROM attempts")).toEqual([
      { status: 'failed', code: 'TIMEOUT' },
    ])
    release()
    await eventually('both errors', async () => lateError.length === 2)
    expect(lateError).toMatchObject([{ status: 'rejected' }, { status: 'rejected', reason: { code: 'CALL_ENDED' } }])
    expect(await rows('SELECT * FROM "Order"')).toEqual([])
  })

  it('cancels a statement that runs in the transaction, so that its locks are released', async () => {
    await Attempt.async(Slow, { timeout: '200ms', maxAttempts: 1 }).statement()
    const started = performance.now()
    await work()
    expect(performance.now() - started).toBeLessThan(20_000)
    expect(await rows('SELECT status FROM attempts')).toEqual([{ status: 'failed' }])
    await eventually('the end of the statement', async () => {
      const sessions = await rows(
        `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep(60)%' AND state = 'active'`,
      )
      return sessions.length === 0
    })
    expect(await rows('SELECT * FROM "Order"')).toEqual([])
  })

  it('ends a run whose transaction could not be opened', async () => {
    const other = connect(new PrismaClient({ adapter: new PrismaPg({ connectionString: `${url}_gone` }) }), {
      connectionString: url,
    })
    const Shop = {
      order: async () => {
        const { tx, signal } = Ordering.current()
        await expect(tx()).rejects.toThrow()
        await sleep(60_000, undefined, { signal })
      },
    }
    class Ordering extends BaseAttempt(other, {
      model: 'Attempt',
      table: 'attempts',
      targets: defineTargets({ Shop }),
    }) {}
    const attempt = await Ordering.async(Shop, { timeout: '500ms', maxAttempts: 1 }).order()
    await attempt.perform()
    expect(attempt).toMatchObject({ status: 'failed', errors: [{ code: 'TIMEOUT' }] })
    await other.close()
  })

  it('ends a run that has changed its own row in its transaction', async () => {
    await Attempt.async(Slow, { timeout: '1s', maxAttempts: 1 }).ownRow()
    await work()
    expect(await rows('SELECT status, priority FROM attempts')).toEqual([{ status: 'failed', priority: 10 }])
  })

  it.each(['create', 'upsert'] as const)('leaves nothing behind of calls that %s all the time', async (operation) => {
    let isOver = false
    const Writer = {
      write: async () => {
        const tx = await Writing.current().tx()
        while (!isOver) {
          const data = { number: ++orders, customerToken: 'tok' }
          if (operation === 'create') await tx.order.create({ data })
          // One operation of two statements: SELECT and INSERT.
          else await tx.order.upsert({ where: { id: -1 }, create: data, update: {} })
        }
      },
    }
    class Writing extends BaseAttempt(db, {
      model: 'Attempt',
      table: 'attempts',
      targets: defineTargets({ Writer }, { timeouts: { Writer: '60ms' } }),
    }) {}
    const attempts = await Writing.createMany(
      Array.from({ length: 40 }, () => ({ target: Writer, method: 'write', args: [], maxAttempts: 1 })),
    )
    for (let i = 0; i < attempts.length; i += 4)
      await Promise.all(attempts.slice(i, i + 4).map((each) => each.perform()))
    isOver = true
    await sleep(200)
    expect(await rows('SELECT count(*)::int FROM "Order"')).toEqual([{ count: 0 }])
    expect(await rows(`SELECT DISTINCT status FROM attempts`)).toEqual([{ status: 'failed' }])
  })

  it('does not end a commit that takes longer', async () => {
    await rows(`
      CREATE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(5.2); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON "Order" DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION slow_commit()`)
    const Writer = {
      write: async () => {
        const tx = await Writing.current().tx()
        await tx.order.create({ data: { number: ++orders, customerToken: 'tok' } })
      },
    }
    class Writing extends BaseAttempt(db, {
      model: 'Attempt',
      table: 'attempts',
      targets: defineTargets({ Writer }),
    }) {}
    // Long enough for the statements of the call on a busy machine.
    const attempt = await Writing.async(Writer, { timeout: '5s' }).write()
    await attempt.perform()
    await rows('DROP FUNCTION slow_commit CASCADE')
    expect(attempt).toMatchObject({ status: 'succeeded', errors: [] })
    expect(await rows('SELECT count(*)::int FROM "Order"')).toEqual([{ count: 1 }])
  })

  it('a cancel after the time limit ends the attempt, and no further run follows', async () => {
    const attempt = await Attempt.async(Slow, { timeout: '50ms' }).deaf()
    await attempt.perform()
    expect(attempt.status).toBe('pending')
    await attempt.cancel()
    release()
    expect(await rows('SELECT status FROM attempts')).toEqual([{ status: 'cancelled' }])
  })

  it('ends a call that was cancelled before, while it waits for a statement, which is no failure', async () => {
    const handled: unknown[] = []
    class Handling extends Attempt {
      override async handlePerformError(error: unknown) {
        handled.push(error)
      }
    }
    const attempt = await Handling.async(Slow, { timeout: '3s' }).statement()
    const performing = attempt.perform()
    await eventually('the statement', async () => {
      return (
        (
          await rows(
            `SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep(60)%'`,
          )
        ).length > 0
      )
    })
    await (await Attempt.find(attempt.id))?.cancel()
    const started = performance.now()
    await performing
    expect(performance.now() - started).toBeLessThan(20_000)
    expect(attempt).toMatchObject({ status: 'cancelled', errors: [] })
    expect(handled).toEqual([])
  })

  it('does not let the method begin after it, if a schema or around() took too long', async () => {
    let begun = 0
    const Charge = { charge: async (_amount: number) => void begun++ }
    const limits = { timeouts: { Charge: '100ms' } } as const
    const slowly = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: async (value: unknown) => {
          await sleep(300)
          return { value: value as number }
        },
      },
    } as const
    class Around extends BaseAttempt(db, {
      model: 'Attempt',
      table: 'attempts',
      targets: defineTargets({ Charge }, limits),
    }) {
      override async around(next: () => Promise<unknown>) {
        await sleep(300)
        return await super.around(next)
      }
    }
    const targets = defineTargets({ Charge }, { ...limits, schemas: { 'Charge.charge': [slowly] } })
    class Checked extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}
    const attempts = await Promise.all([Around.async(Charge).charge(1), Checked.async(Charge).charge(1)])
    for (const attempt of attempts) {
      await attempt.perform()
      expect(attempt.errors).toMatchObject([{ code: 'TIMEOUT' }])
    }
    await eventually('their end', async () => lingeringCalls(db).size === 0)
    expect(begun).toBe(0)
  })

  it('reaches handlePerformError as the error', async () => {
    const handled: unknown[] = []
    class Handling extends Attempt {
      override async handlePerformError(error: unknown) {
        handled.push(error)
        await super.handlePerformError(error)
      }
    }
    await (await Handling.async(Slow, { timeout: '20ms' }).deaf()).perform()
    expect(handled).toEqual([expect.any(TimeoutError)])
  })
})
