import { setTimeout as sleep } from 'node:timers/promises'
import {
  AttemptEndedError,
  BaseAttempt,
  backoff,
  defineTargets,
  InvalidStateError,
  PermanentError,
  WaitTimeoutError,
} from '@async-gen/runtime'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { gate } from '../support/gate.js'
import { query } from '../support/postgres.js'
import { countQueries } from '../support/queries.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

let performed: string[] = []
let handled: unknown[] = []

let askedTwice = gate()

const Work = {
  note: async (name: string) => {
    performed.push(name)
    return name
  },
  fail: async (kind: 'plain' | 'cause' | 'aggregate' | 'string' | 'hostile' | 'permanent') => {
    if (kind === 'cause') throw new TypeError('outer', { cause: new RangeError('inner', { cause: 'root' }) })
    if (kind === 'aggregate') throw new AggregateError([new Error('one'), new Error('two')], 'both')
    if (kind === 'string') throw 'just text'
    if (kind === 'hostile') throw Object.defineProperty(new Error(), 'message', { get: () => boom() })
    if (kind === 'permanent') throw new PermanentError('the card is stolen')
    throw new Error('plain')
  },
  untilStopped: async () => {
    const { signal, tx, run } = Attempt.current()
    await (await tx()).order.create({ data: { number: 99, customerToken: 'never' } })
    performed.push(`run ${run}`)
    while (!signal.aborted) await sleep(5)
    performed.push((signal.reason as Error).message)
    signal.throwIfAborted()
  },
  askTwice: async () => {
    const signals = [Attempt.current().signal, Attempt.current().signal]
    performed.push('begun')
    while (!signals.some(({ aborted }) => aborted)) await sleep(5)
    performed.push(...signals.map(({ aborted }) => `aborted: ${aborted}`))
    askedTwice.open()
  },
  askLate: async () => {
    performed.push('begun')
    await askedTwice.opened
    performed.push((Attempt.current().signal.reason as Error | undefined)?.message ?? 'not aborted')
  },
  values: async () => ({ at: new Date(0), big: 2n ** 64n, tags: new Set(['a']), gone: undefined }),
}

class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Work }) }) {
  override async handlePerformError(error: unknown) {
    handled.push(error)
    await super.handlePerformError(error)
  }

  override retryDelay(run: number) {
    return run * 1000
  }
}

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
const work = (concurrency = 1) => runJobs(url, Attempt, { concurrency })
const makeDue = (id: bigint) => rows('UPDATE attempts SET scheduled_at = now() WHERE id = $1', [id])

beforeEach(() => {
  askedTwice = gate()
  performed = []
  handled = []
})
afterEach(() => rows('TRUNCATE attempts, graphile_worker._private_jobs CASCADE'))

describe('the order', () => {
  it('P3: a higher priority runs first, then the earlier time; eight calls', async () => {
    const past = (seconds: number) => new Date(Date.now() - seconds * 1000)
    const call = (name: string, priority: number, scheduledAt: Date) => ({
      target: Work,
      method: 'note' as const,
      args: [name] as [string],
      priority,
      scheduledAt,
    })
    const [early, late, latest] = [past(20), past(10), past(5)]
    await Attempt.createMany([
      call('7', 5, late),
      call('3', 15, early),
      call('1', 20, late),
      call('5', 10, early),
      call('6', 10, late),
      call('4', 15, late),
      call('2', 20, latest),
      call('8', 5, latest),
    ])
    await work()
    expect(performed).toEqual(['1', '2', '3', '4', '5', '6', '7', '8'])
  })
})

describe('a failed run', () => {
  it('P5: keeps causes, and each of several errors', async () => {
    const [caused, both] = [await Attempt.async(Work).fail('cause'), await Attempt.async(Work).fail('aggregate')]
    await Promise.all([caused.perform(), both.perform()])
    expect(caused.errors[0]).toMatchObject({
      name: 'TypeError',
      message: 'outer',
      cause: { name: 'RangeError', message: 'inner', cause: { message: 'root' } },
    })
    expect(both.errors[0]).toMatchObject({ message: 'both', errors: [{ message: 'one' }, { message: 'two' }] })
  })

  it('P5: is recorded whatever was thrown', async () => {
    const [text, hostile] = [await Attempt.async(Work).fail('string'), await Attempt.async(Work).fail('hostile')]
    await Promise.all([text.perform(), hostile.perform()])
    expect(text.errors[0]?.message).toBe('just text')
    expect(hostile).toMatchObject({ status: 'pending', errors: [{ number: 1 }] })
  })

  it('A10: is followed by a longer pause each time, up to an hour, give or take a fifth; 25 runs take some 14 hours', () => {
    const seconds = (run: number, luck: number) => backoff(run, () => luck) / 1000
    expect([1, 2, 3, 11, 12, 24].map((run) => seconds(run, 0.5))).toEqual([2, 4, 8, 2048, 3600, 3600])
    expect([seconds(3, 0), seconds(3, 1)]).toEqual([6.4, 9.6])
    const total = Array.from({ length: 24 }, (_, i) => seconds(i + 1, 0.5)).reduce((a, b) => a + b)
    expect(Math.round(total / 3600)).toBe(14)
  })

  it('A10: waits for as long as retryDelay says', async () => {
    const attempt = await Attempt.async(Work).fail('plain')
    for (const run of [1, 2, 3]) {
      await makeDue(attempt.id)
      await attempt.perform()
      const delay = attempt.scheduledAt.getTime() - attempt.updatedAt.getTime()
      expect(Math.round(delay / 1000)).toBe(run)
    }
  })

  it('A10: is the last one when the call says that another is useless', async () => {
    const attempt = await Attempt.async(Work).fail('permanent')
    await attempt.perform()
    expect(attempt).toMatchObject({ status: 'failed', numAttempts: 1, maxAttempts: 25 })
  })

  it('A10: an error in the hook itself still leaves the attempt to be tried again', async () => {
    class Broken extends Attempt {
      override async handlePerformError(): Promise<void> {
        throw new Error('the pager is down')
      }
    }
    const attempt = await Broken.async(Work).fail('plain')
    await expect(attempt.perform()).rejects.toThrow('the pager is down')
    expect(await Attempt.find(attempt.id)).toMatchObject({ status: 'pending', numAttempts: 1 })
  })
})

describe('results', () => {
  it('P4, P6: come back with their types, and so do arguments', async () => {
    const attempt = await Attempt.async(Work).values()
    await attempt.perform()
    const expected = { at: new Date(0), big: 2n ** 64n, tags: new Set(['a']), gone: undefined }
    expect(attempt.result).toEqual(expected)
    expect((await Attempt.find(attempt.id))?.result).toEqual(expected)
    expect((await Attempt.async(Work).note('x')).args).toEqual(['x'])
  })
})

describe('cancel', () => {
  it('P9, P10: ends one that waits; it is finished, was never started and has no result', async () => {
    const attempt = await Attempt.async(Work).note('never')
    await attempt.cancel()
    expect(attempt).toMatchObject({ status: 'cancelled', isCancelled: true, isFinished: true, isStarted: false })
    expect(attempt.result).toBeUndefined()
    await work()
    expect(performed).toEqual([])
  })

  it('P9: aborts the signal of a running call, whichever process cancels it, and rolls back its writes', async () => {
    const { id } = await Attempt.async(Work).untilStopped()
    const running = Attempt.perform(id)
    await eventually('the call', async () => performed.length > 0)

    await (await Attempt.find(id))?.cancel()

    expect(await running).toMatchObject({ status: 'cancelled', errors: [] })
    expect(await rows('SELECT locked_by FROM attempts')).toEqual([{ locked_by: null }])
    expect(handled, 'to be cancelled is no failure').toEqual([])
    expect(performed).toEqual(['run 1', 'The attempt was cancelled while it ran.'])
    expect(await prisma.order.count({ where: { number: 99 } })).toBe(0)
  })

  it('P9: aborts each signal for which the call asks, also one for which it asks only afterwards', async () => {
    const late = await Attempt.async(Work).askLate()
    const twice = await Attempt.async(Work).askTwice()
    const running = [late, twice].map(({ id }) => Attempt.perform(id))
    await eventually('both calls', async () => performed.length === 2)
    // They are told of in this order.
    await late.cancel()
    await twice.cancel()
    await Promise.all(running)
    expect(performed.slice(2)).toEqual(['aborted: true', 'aborted: true', 'The attempt was cancelled while it ran.'])
  })

  it('P9: refuses one that has ended', async () => {
    const attempt = await Attempt.async(Work).note('done')
    await attempt.perform()
    await expect(attempt.cancel()).rejects.toThrow(InvalidStateError)
  })
})

describe('a worker that stops', () => {
  it('P16: aborts the signal of the call', async () => {
    const stopping = new AbortController()
    const { id, scheduledAt } = await Attempt.async(Work).untilStopped()
    const running = Attempt.perform(id, { signal: stopping.signal })
    await eventually('the call', async () => performed.length > 0)
    stopping.abort(new Error('the worker stops'))
    const attempt = await running
    expect(attempt).toMatchObject({ status: 'pending', errors: [{ message: 'the worker stops' }] })
    expect(attempt!.scheduledAt, 'due at once, in its old place in the queue').toEqual(scheduledAt)

    // Workers that come and go must not use up its runs.
    const again = await Attempt.perform(id, { signal: AbortSignal.abort(new Error('the next one stops, too')) })
    expect(again!.errors).toHaveLength(2)
    expect(again!.scheduledAt.getTime()).toBeGreaterThan(Date.now() + 500)
  })

  it('P16: has a call due at once whose other errors are older than a minute', async () => {
    const { id, scheduledAt } = await Attempt.async(Work).untilStopped()
    await rows(`UPDATE attempts SET errors = '[{"at": "2026-01-01T00:00:00.000Z", "message": "no answer"}]'`)
    const attempt = await Attempt.perform(id, { signal: AbortSignal.abort(new Error('the worker stops')) })
    expect(attempt!.errors).toHaveLength(2)
    expect(attempt!.scheduledAt).toEqual(scheduledAt)
  })
})

describe('retry', () => {
  it('makes one due that has failed, with one more run at least', async () => {
    const attempt = await Attempt.create({ target: Work, method: 'fail', args: ['plain'], maxAttempts: 1 })
    await attempt.perform()
    expect(attempt.isFailed).toBe(true)

    await attempt.retry()
    expect(attempt).toMatchObject({ status: 'pending', maxAttempts: 2, completedAt: null })
    await work()
    expect(await attempt.reload()).toMatchObject({ status: 'failed', numAttempts: 2 })
  })

  it('removes an expiry that would end it first, keeps a later one, and resets the progress', async () => {
    const expiresAt = new Date(Date.now() + 3_600_000)
    const attempt = await Attempt.create({ target: Work, method: 'note', args: ['x'], expiresAt })
    await attempt.cancel()
    await rows(`UPDATE attempts SET progress = 0.5, progress_message = 'half'`)
    await attempt.retry({ delay: '10 minutes' })
    expect(attempt).toMatchObject({ expiresAt, progress: null, progressMessage: null })
    await attempt.retry({ delay: '2 hours' })
    expect(attempt.expiresAt).toBeNull()
  })

  it('is refused while the call runs, and so are its other ends but cancel', async () => {
    const attempt = await Attempt.async(Work).note('busy')
    await rows(`UPDATE attempts SET status = 'running'`)
    for (const verb of ['retry', 'expire', 'fail'] as const)
      await expect(attempt[verb](), verb).rejects.toThrow(
        `Cannot ${verb} Attempt ${attempt.id} (Work.note): its status is running.`,
      )
  })

  it('hurries one that waits, and refuses one that has succeeded', async () => {
    const attempt = await Attempt.schedule(new Date(Date.now() + 60_000), Work).note('now')
    await attempt.retry()
    await work()
    expect(performed).toEqual(['now'])
    await attempt.reload()
    await expect(attempt.retry()).rejects.toThrow(/Cannot retry .* its status is succeeded/)
  })
})

describe('wait', () => {
  it('resolves with the result as soon as the call was made', async () => {
    const attempt = await Attempt.async(Work).note('late')
    setTimeout(() => Attempt.perform(attempt.id), 100)
    const started = performance.now()
    const onProgress = vi.fn()
    expect(await attempt.wait({ timeout: '20s', onProgress })).toBe('late')
    expect(performance.now() - started).toBeLessThan(15_000)
    expect(onProgress).not.toHaveBeenCalled()
  })

  it('reads the row a few times a second', async () => {
    const attempt = await Attempt.schedule(new Date(Date.now() + 60_000), Work).note('later')
    const reads = await countQueries(db, async () => void (await attempt.wait({ timeout: '500ms' }).catch(() => {})))
    expect(reads).toBeLessThanOrEqual(8)
  })

  it('throws the stored error of one that failed', async () => {
    const attempt = await Attempt.async(Work).fail('permanent')
    await attempt.perform()
    const error = (await attempt.wait().catch((thrown) => thrown)) as AttemptEndedError
    expect(error).toBeInstanceOf(AttemptEndedError)
    expect(error.message).toMatch(/ended as failed: the card is stolen/)
    expect(error.cause).toMatchObject({ name: 'PermanentError', message: 'the card is stolen' })
  })

  it('throws the causes of a stored error too, and only the end where no error is stored', async () => {
    const [failed, cancelled] = await Attempt.createMany([
      { target: Work, method: 'fail', args: ['cause'], maxAttempts: 1 },
      { target: Work, method: 'note', args: ['never'] },
    ])
    await failed!.perform()
    await cancelled!.cancel()
    const waits = [failed, cancelled].map((each) => each!.wait().catch((thrown) => thrown as AttemptEndedError))
    const [error, end] = (await Promise.all(waits)) as AttemptEndedError[]
    expect(error!.cause).toBeInstanceOf(Error)
    expect(error!.cause).toMatchObject({
      name: 'TypeError',
      message: 'outer',
      cause: { name: 'RangeError', message: 'inner' },
    })
    expect((error!.cause as Error).stack).toMatch(/^TypeError: outer\n.*\bfail\b/)
    expect(end!.message).toBe(`Attempt ${cancelled!.id} (Work.note) ended as cancelled.`)
    expect(end).not.toHaveProperty('cause')
  })

  it('gives up when it was told to, and not if the attempt has ended', async () => {
    const attempt = await Attempt.schedule(new Date(Date.now() + 60_000), Work).note('later')
    const waiting = attempt.wait({ timeout: '50ms' })
    await expect(waiting).rejects.toThrow(WaitTimeoutError)
    await expect(waiting).rejects.toThrow('is still pending after 50ms.')
    const ended = await Attempt.async(Work).note('soon')
    await ended.perform()
    expect(await ended.wait({ timeout: 0 })).toBe('soon')
  })

  it('throws what onProgress throws, and refuses one that is no function', async () => {
    const attempt = await Attempt.async(Work).note('later')
    await rows(`UPDATE attempts SET progress = 0.5`)
    const boom = new Error('no screen')
    const onProgress = () => {
      throw boom
    }
    await expect(attempt.wait({ onProgress })).rejects.toBe(boom)
    await expect(attempt.wait({ onProgress: 'loud' as never })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: 'wait: onProgress is loud. It must be a function.',
    })
  })
})

describe('queries', () => {
  it('A5: find attempts by status, target, method, token and parent, the newest first', async () => {
    const [a, b] = await Attempt.createMany([
      { target: Work, method: 'note', args: ['a'] },
      { target: Work, method: 'note', args: ['b'], idempotenceToken: 'b' },
    ])
    const failed = await Attempt.async(Work).fail('permanent')
    await failed.perform()
    const ids = (attempts: Attempt[]) => attempts.map(({ id }) => id)

    expect(ids(await Attempt.pending())).toEqual([b!.id, a!.id])
    expect(ids(await Attempt.failed({ target: Work }))).toEqual([failed.id])
    expect(ids(await Attempt.where({ method: 'note' }, { limit: 1 }))).toEqual([b!.id])
    expect(ids(await Attempt.where({ idempotenceToken: 'b' }))).toEqual([b!.id])
    expect(await Attempt.count()).toBe(3)
    expect(await Attempt.count({ status: 'pending' })).toBe(2)
    for (const scope of ['running', 'succeeded', 'expired', 'cancelled'] as const)
      expect(await Attempt[scope]()).toEqual([])
  })

  it('A5: every attempt knows its status by name', async () => {
    const attempt = await Attempt.async(Work).note('x')
    expect(attempt).toMatchObject({ isPending: true, isSucceeded: false, isFinished: false })
    await attempt.perform()
    expect(attempt).toMatchObject({ isPending: false, isSucceeded: true, isStarted: true, isFinished: true })
    expect(attempt).toMatchObject({ isRunning: false, isFailed: false, isExpired: false, isCancelled: false })
  })
})

describe('an attempt in an assertion', () => {
  it('has getters that work on a copy, from which Vitest makes the diff', async () => {
    const attempt = await Attempt.async(Work).note('x')
    await rows(`UPDATE attempts SET errors = '[{"message": "first"}]'`)
    await attempt.perform()
    const copy: Attempt = Object.assign(Object.create(Attempt.prototype), attempt)
    expect(copy).toMatchObject({ status: 'succeeded', args: ['x'], result: 'x', errors: [{ message: 'first' }] })
    expect(copy.isDue).toBe(false)
  })
})

function boom(): never {
  throw new Error('not even that')
}
