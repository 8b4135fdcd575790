import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  AesGcmEncryptor,
  BaseAttempt,
  defineTargets,
  InvalidStateError,
  type PerformOptions,
  PermanentError,
} from '@async-gen/runtime'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

let performed: string[] = []

const Work = {
  note: async (name: string) => {
    performed.push(name)
    return name
  },
  break: async () => {
    performed.push('break')
    throw new Error('no answer')
  },
}

class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Work }) }) {}

/** Performs all that is due, as the worker does. */
const work = (Type: typeof Attempt) => runJobs(url, Type)
const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
const makeDue = () => rows(`UPDATE attempts SET scheduled_at = now() WHERE status = 'pending'`)

afterEach(async () => {
  performed = []
  await rows('TRUNCATE attempts, graphile_worker._private_jobs CASCADE')
})
afterAll(() => db.close())

describe('in handlePerformError', () => {
  it('A10: fail() after a number of runs, as the original does it, ends the attempt for the worker', async () => {
    class ThreeTimes extends Attempt {
      override async handlePerformError() {
        if (this.numAttempts >= 3) await this.fail()
      }
      override retryDelay() {
        return 0
      }
    }
    const { id } = await Attempt.async(Work).break()

    await work(ThreeTimes)

    const attempt = await Attempt.find(id)
    expect(performed).toHaveLength(3)
    expect(attempt).toMatchObject({ status: 'failed', numAttempts: 3 })
    expect(attempt?.errors, 'the error of the run that was the last').toMatchObject([
      { number: 3, name: 'Error', message: 'no answer' },
    ])
    expect(attempt?.completedAt).toBeInstanceOf(Date)
    expect(await rows('SELECT locked_by FROM attempts')).toEqual([{ locked_by: null }])
  })

  it.each([
    ['fail', 'failed'],
    ['expire', 'expired'],
    ['cancel', 'cancelled'],
  ] as const)('%s() ends the attempt and keeps the error, before and after super', async (verb, status) => {
    class Before extends Attempt {
      override async handlePerformError(error: unknown) {
        await this[verb]()
        await super.handlePerformError(error)
      }
    }
    class After extends Attempt {
      override async handlePerformError(error: unknown) {
        await super.handlePerformError(error)
        await this[verb]()
      }
    }
    for (const Type of [Before, After]) {
      const { id } = await Attempt.async(Work).break()
      await work(Type)
      const attempt = await Attempt.find(id)
      expect(attempt, Type.name).toMatchObject({ status, numAttempts: 1, errors: [{ message: 'no answer' }] })
      expect(attempt?.completedAt, Type.name).toBeInstanceOf(Date)
    }
    await makeDue()
    expect(performed, 'and no run follows').toHaveLength(2)
  })

  it('a PermanentError ends the attempt as failed, before and after super', async () => {
    class Before extends Attempt {
      override async handlePerformError(error: unknown) {
        throw new PermanentError('the card is stolen', { cause: error })
      }
    }
    class After extends Attempt {
      override async handlePerformError(error: unknown) {
        await super.handlePerformError(error)
        throw new PermanentError('the card is stolen')
      }
    }
    for (const Type of [Before, After]) {
      const { id } = await Attempt.async(Work).break()
      await work(Type)
      const attempt = await Attempt.find(id)
      expect(attempt, Type.name).toMatchObject({ status: 'failed', errors: [{ message: 'no answer' }] })
    }
  })

  it('retry() has the call run again after the delay, with one more run at least', async () => {
    class Later extends Attempt {
      override async handlePerformError() {
        await this.retry({ delay: '1 hour' })
      }
    }
    const { id } = await Attempt.create({ target: Work, method: 'break', maxAttempts: 1 })

    await work(Later)

    const attempt = await Attempt.find(id)
    expect(attempt).toMatchObject({
      status: 'pending',
      maxAttempts: 2,
      completedAt: null,
      errors: [{ number: 1, message: 'no answer' }],
    })
    const minutes = (attempt!.scheduledAt.getTime() - attempt!.updatedAt.getTime()) / 60_000
    expect(Math.round(minutes)).toBe(60)
  })

  it('fail() in the last run leaves max_attempts as it is', async () => {
    class Failing extends Attempt {
      override async handlePerformError() {
        await this.fail()
      }
    }
    const attempt = await Failing.create({ target: Work, method: 'break', maxAttempts: 1 })
    await attempt.perform()
    expect(await attempt.reload()).toMatchObject({ status: 'failed', numAttempts: 1, maxAttempts: 1 })
  })

  it('fail() keeps the error encrypted where the attempt is', async () => {
    const encryptor = new AesGcmEncryptor({ first: Buffer.alloc(32, 7).toString('base64') })
    const targets = defineTargets({ Work })
    class Secret extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets, encryptor }) {
      override async handlePerformError() {
        await this.fail()
      }
    }
    const attempt = await Secret.async(Work).break()
    await attempt.perform()
    expect(attempt).toMatchObject({ status: 'failed', errors: [{ message: 'no answer' }] })
    expect(JSON.stringify(await rows('SELECT * FROM attempts'))).not.toContain('no answer')
  })

  it.each([
    ['is another one', 'num_attempts = 2', { status: 'running', num_attempts: 2 }],
    ['is another worker’s', 'locked_by = 2000000000', { status: 'running', num_attempts: 1 }],
    ['was cancelled by SQL', `status = 'cancelled'`, { status: 'cancelled', num_attempts: 1 }],
  ])('changes nothing once the run %s', async (_, change, row) => {
    let thrown: unknown
    class Late extends Attempt {
      override async handlePerformError() {
        await rows(`UPDATE attempts SET ${change}`)
        await this.fail().catch((error) => {
          thrown = error
        })
      }
    }
    const attempt = await Late.async(Work).break()
    await attempt.perform()
    expect(thrown).toBeInstanceOf(InvalidStateError)
    expect(await rows('SELECT status::text, num_attempts FROM attempts')).toEqual([row])
  })
})

describe('an overridden perform()', () => {
  it('A21: is what the worker calls, around every run', async () => {
    class Wrapped extends Attempt {
      override async perform(options?: PerformOptions) {
        performed.push(`before, ${this.status}`)
        const made = await super.perform(options)
        performed.push(`after, ${this.status}`)
        return made
      }
    }
    await Attempt.async(Work).note('call')
    await work(Wrapped)
    expect(performed).toEqual(['before, running', 'call', 'after, succeeded'])

    const attempt = await Wrapped.async(Work).note('by hand')
    expect(await attempt.perform()).toBe(true)
    expect(performed.slice(3)).toEqual(['before, pending', 'by hand', 'after, succeeded'])
  })

  it('that throws before super has failed the run, and the error takes the usual way', async () => {
    class Closed extends Attempt {
      override async perform(): Promise<boolean> {
        throw new Error('the tenant is closed')
      }
    }
    const { id } = await Attempt.async(Work).note('never')
    await work(Closed)
    const attempt = await Attempt.find(id)
    expect(attempt).toMatchObject({ status: 'pending', numAttempts: 1, errors: [{ message: 'the tenant is closed' }] })
    expect(performed).toEqual([])
  })

  it('that throws after super changes nothing, and says so', async () => {
    class Careless extends Attempt {
      override async perform(options?: PerformOptions): Promise<boolean> {
        await super.perform(options)
        throw new Error('too late')
      }
    }
    const { id } = await Attempt.async(Work).note('made')
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
    await work(Careless)
    expect(await Attempt.find(id)).toMatchObject({ status: 'succeeded', errors: [] })
    expect((await warned).message).toBe(
      `perform() of Careless ${id} (Work.note) threw after the run had ended: Error: too late`,
    )
  })

  it('that does not call super puts the call off', async () => {
    class Paused extends Attempt {
      override async perform() {
        return false
      }
      override retryDelay() {
        return 60_000
      }
    }
    const { id } = await Attempt.async(Work).note('never')
    await work(Paused)
    const attempt = await Attempt.find(id)
    expect(attempt).toMatchObject({ status: 'pending', errors: [] })
    expect(attempt!.scheduledAt.getTime()).toBeGreaterThan(Date.now() + 50_000)
    expect(await rows('SELECT locked_by FROM attempts')).toEqual([{ locked_by: null }])
  })

  it('may end the attempt in place of making the call', async () => {
    class Dated extends Attempt {
      override async perform(options?: PerformOptions) {
        if (this.createdAt.getTime() > Date.now() - 3_600_000) return await super.perform(options)
        await this.expire()
        return false
      }
    }
    const [{ id }, recent] = [await Attempt.async(Work).note('never'), await Attempt.async(Work).note('recent')]
    await rows(`UPDATE attempts SET created_at = now() - interval '1 day' WHERE id = $1`, [id])
    await work(Dated)
    expect(await Attempt.find(id)).toMatchObject({ status: 'expired', errors: [] })
    expect(await Attempt.find(recent.id)).toMatchObject({ status: 'succeeded' })
    expect(performed).toEqual(['recent'])
  })
})

describe('around', () => {
  const tenants = new AsyncLocalStorage<string>()
  let slow = ''
  const Tenancy = {
    slowly: async () => {
      slow = 'begun'
      await sleep(50)
      slow = 'ended'
    },
    name: async () => tenants.getStore(),
    fail: async () => {
      throw new Error(`no answer for ${tenants.getStore()}`)
    },
  }
  class Base extends BaseAttempt(db, {
    model: 'Attempt',
    table: 'attempts',
    targets: defineTargets({ Tenancy, Work }),
  }) {}
  class Tenant extends Base {
    override async around(next: () => Promise<unknown>) {
      return await tenants.run(`tenant of ${Base.current().attempt.id}`, () => super.around(next))
    }
  }

  it('runs the call in the context that it sets', async () => {
    const attempt = await Tenant.async(Tenancy).name()
    await work(Tenant as never)
    expect(await attempt.wait()).toBe(`tenant of ${attempt.id}`)
  })

  it('sees the error of the call, and its own error fails the run', async () => {
    const seen: string[] = []
    class Watching extends Tenant {
      override async around(next: () => Promise<unknown>) {
        try {
          return await super.around(next)
        } catch (error) {
          seen.push((error as Error).message)
          throw new Error('around', { cause: error })
        }
      }
    }
    const attempt = await Watching.async(Tenancy).fail()
    await attempt.perform()
    expect(seen).toEqual([`no answer for tenant of ${attempt.id}`])
    expect(attempt.errors).toMatchObject([{ message: 'around', cause: { message: seen[0] } }])
  })

  it('may use the transaction of the call, which commits with it', async () => {
    class Writing extends Base {
      override async around(next: () => Promise<unknown>) {
        const tx = await Base.current().tx()
        await tx.order.create({ data: { number: 4711, customerToken: 'around' } })
        return await super.around(next)
      }
    }
    await (await Writing.async(Work).note('x')).perform()
    await (await Writing.async(Work).break()).perform()
    expect(await rows(`DELETE FROM "Order" WHERE number = 4711 RETURNING "customerToken"`)).toEqual([
      { customerToken: 'around' },
    ])
  })

  it('that does not await the call: the run ends with it, and an error of the call fails the run', async () => {
    class Careless extends Base {
      override async around(next: () => Promise<unknown>) {
        super.around(next)
        return 'careless'
      }
    }
    const succeeding = await Careless.async(Tenancy).slowly()
    await succeeding.perform()
    expect(succeeding).toMatchObject({ status: 'succeeded', result: 'careless' })
    expect(slow).toBe('ended')
    const failing = await Careless.async(Tenancy).fail()
    await failing.perform()
    expect(failing.errors).toMatchObject([{ message: 'no answer for undefined' }])
  })

  it('decides the result if it does not call next', async () => {
    class Cached extends Base {
      override async around() {
        return 'from the cache'
      }
    }
    const attempt = await Cached.async(Work).note('x')
    await attempt.perform()
    expect(attempt).toMatchObject({ status: 'succeeded', result: 'from the cache' })
    expect(performed).toEqual([])
  })
})

describe('handleSuccess', () => {
  it('gets the stored result, after it was stored', async () => {
    const seen: unknown[] = []
    class Reporting extends Attempt {
      override async handleSuccess(result: unknown) {
        await super.handleSuccess(result)
        seen.push(result, (await Attempt.find(this.id))?.status, this.isSucceeded)
      }
    }
    await Reporting.async(Work).note('x')
    await work(Reporting)
    expect(seen).toEqual(['x', 'succeeded', true])
  })

  it('is not called for a failed run, and its own error is a warning', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockReturnValue()
    let calls = 0
    class Throwing extends Attempt {
      override async handleSuccess() {
        calls++
        throw new Error('mail server is down')
      }
    }
    await (await Throwing.async(Work).break()).perform()
    expect(calls).toBe(0)
    const attempt = await Throwing.async(Work).note('x')
    await attempt.perform()
    expect(attempt).toMatchObject({ status: 'succeeded', errors: [] })
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('mail server is down'), { code: 'HANDLE_SUCCESS_THREW' })
    warn.mockRestore()
  })
})
