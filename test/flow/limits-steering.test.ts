import { setTimeout as sleep } from 'node:timers/promises'
import { BaseAttempt, defineTargets, limit, sweep } from '@async-gen/runtime'
import { perform } from '@async-gen/runtime/testing'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { describeLimit } from '../../runtime/src/attempt/limits/describe.js'
import { Counters } from '../../runtime/src/worker/counters.js'
import { metrics } from '../../runtime/src/worker/metrics.js'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

let calls: string[] = []

class Shopify {
  static async push(shop: string, name: string): Promise<unknown> {
    calls.push(`${shop} ${name}`)
    const { attempt, snooze } = Attempt.current()
    return name === 'snooze' && attempt.snoozes === 0 ? snooze('1 hour') : undefined
  }
  static async ignoreSignal(shop: string) {
    calls.push(`ignore ${shop}`)
    await sleep(300)
  }
}
const Mail = {
  send: async (to: string) => {
    calls.push(`send ${to}`)
  },
}
const listed = { Shopify, Mail }
const targets = defineTargets(listed, {
  limits: [limit(Shopify, { key: (shop) => shop, concurrency: 1 }), limit(Mail, { rate: { limit: 1, per: '1 hour' } })],
})

class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
const jobs = async () => (await rows('SELECT FROM graphile_worker.jobs')).length
const work = (concurrency = 2, Class: typeof Attempt = Attempt) => runJobs(url, Class, { concurrency })

/** A run that goes on until its row is deleted. */
const occupy = async (limitKey: string) =>
  (
    await rows(
      `INSERT INTO attempts (target, method, args, limit_key, status, started_at, locked_by)
       VALUES ('Shopify', 'push', '["acme", "running"]', $1, 'running', now(), (SELECT max(id) FROM async_workers)) RETURNING id`,
      [limitKey],
    )
  )[0]!.id as string
const push = (shop: string, name: string, options = {}) => Attempt.async(Shopify, options).push(shop, name)

beforeAll(async () => {
  await work()
  // Registers this process as a worker.
  await perform(await push('first', 'call'))
})
beforeEach(() => {
  calls = []
})
afterEach(() =>
  rows('TRUNCATE attempts, async_pauses, async_limits, async_limit_starts, graphile_worker._private_jobs CASCADE'),
)

describe('Attempt.setLimit', () => {
  it('lets waiting calls run at once, of all keys or of one', async () => {
    for (const shop of ['acme', 'globex']) {
      await occupy(`Shopify:${shop}`)
      for (const name of ['a', 'b', 'c']) await push(shop, name)
    }
    await work()
    expect([calls, await jobs()]).toEqual([[], 0])
    await Attempt.setLimit(Shopify, { key: 'acme', concurrency: 2 })
    await work()
    expect(calls).toEqual(['acme a', 'acme b', 'acme c'])
    await Attempt.setLimit(Shopify, { concurrency: Number.POSITIVE_INFINITY })
    await work()
    expect(calls.slice(3).toSorted()).toEqual(['globex a', 'globex b', 'globex c'])
    const [status] = await Attempt.limits()
    expect(status).toMatchObject({ concurrency: null, changed: [{ key: 'acme', concurrency: 2, rate: null }] })
    await Attempt.setLimit(Shopify, { key: 'acme', concurrency: null })
    await Attempt.setLimit(Shopify, { concurrency: null })
    expect(await rows('SELECT FROM async_limits')).toEqual([])
  })

  it('changes a rate, and adds one to a limit without', async () => {
    for (const to of ['a', 'b', 'c']) await Attempt.async(Mail).send(to)
    await work()
    expect(calls).toEqual(['send a'])
    await Attempt.setLimit(Mail, { rate: { limit: 2, per: '1 hour' } })
    await work()
    expect(calls).toEqual(['send a', 'send b'])

    await Attempt.setLimit(Shopify, { rate: { limit: 1, per: '1 hour' } })
    await push('acme', 'a')
    await push('acme', 'b')
    await work()
    expect(calls.slice(2)).toEqual(['acme a'])
  })

  it('refuses what is no limit', async () => {
    await expect(Attempt.setLimit(Shopify, { method: 'push', concurrency: 2 })).rejects.toThrow(
      'setLimit: targets.ts has no limit of Shopify.push. It has: Shopify, Mail.',
    )
    await expect(Attempt.setLimit(Shopify, { concurrency: 0 })).rejects.toThrow('concurrency is 0')
    await expect(Attempt.setLimit(Shopify, { rate: { limit: 1, per: 0 } })).rejects.toThrow('rate.per is 0')
    await expect(Attempt.setLimit(Shopify, { concurency: 2 } as never)).rejects.toMatchObject({
      code: 'UNKNOWN_OPTION',
    })
    expect(() => defineTargets(listed, { limits: [limit({ other() {} }, { concurrency: 1 })] })).toThrow(
      'is not a target',
    )
    expect(() =>
      defineTargets(listed, { limits: [limit(Mail, { concurrency: 1 }), limit(Mail, { concurrency: 2 })] }),
    ).toThrow('Mail has two')
    expect(() => defineTargets(listed, { limits: [{ target: Mail, concurrency: 1 } as never] })).toThrow(
      'the limits are invalid: an entry is not made by limit(target, { … })',
    )
    expect(() => defineTargets(listed, { limits: [limit(Mail, { method: 'gone' as never, concurrency: 1 })] })).toThrow(
      'has no method "gone"',
    )
    expect(() => defineTargets({ 'Mail:eu': Mail }, { limits: [limit(Mail, { concurrency: 1 })] })).toThrow(
      'the name of the target Mail:eu has a colon in it',
    )
    expect(() => limit(Mail, {})).toThrow('at least one of')
    // @ts-expect-error The key gets the arguments of the methods.
    limit(Mail, { key: (to: number) => `${to}`, concurrency: 1 })
  })
})

describe('Attempt.limits', () => {
  it('tells what runs, who waits and what is full, like the metrics and the command line', async () => {
    await occupy('Shopify:acme')
    await push('acme', 'a')
    await push('acme', 'b')
    await Attempt.async(Mail).send('a')
    await Attempt.async(Mail).send('b')
    await work()
    const limits = await Attempt.limits()
    const nextStartAt = limits[1]!.keys[0]!.nextStartAt!
    expect(nextStartAt.getTime() - Date.now()).toBeGreaterThan(3_500_000)
    expect(limits).toMatchObject([
      {
        target: 'Shopify',
        method: null,
        order: null,
        concurrency: 1,
        running: 1,
        waiting: 2,
        keys: [{ key: 'acme', isFull: true, running: 1, waiting: 2 }],
      },
      {
        target: 'Mail',
        rate: { limit: 1, per: 3_600_000 },
        running: 0,
        waiting: 1,
        keys: [{ key: '', isFull: true, waiting: 1 }],
      },
    ])
    expect(describeLimit('Attempt', limits[0]!)).toBe(
      'Shopify (Attempt), 1 at a time: 1 running, 2 waiting. Full: acme (1 running, 2 waiting).',
    )
    const text = await metrics(db, new Counters(), undefined)
    expect(text).toContain('async_gen_limit_calls{model="Attempt",limit="Shopify",state="waiting"} 2')
    expect(text).toContain('async_gen_limit_full_keys{model="Attempt",limit="Mail"} 1')
  })
})

describe('a limited call', () => {
  it('waits while it is paused, and then in its order', async () => {
    await Attempt.pause(Shopify)
    for (const name of ['a', 'b', 'c']) await push('acme', name)
    await work()
    expect(calls).toEqual([])
    await Attempt.resume(Shopify)
    expect(await jobs()).toBe(1)
    await work()
    expect(calls).toEqual(['acme a', 'acme b', 'acme c'])
  })

  it('gives its slot back when its time limit is over, although the method goes on', async () => {
    await Attempt.async(Shopify, { timeout: 50, maxAttempts: 1 }).ignoreSignal('acme')
    await push('acme', 'next')
    const started = performance.now()
    await work()
    expect(calls).toEqual(['ignore acme', 'acme next'])
    expect((await Attempt.failed())[0]!.errors[0]!.name).toBe('TimeoutError')
    expect(performance.now() - started).toBeGreaterThan(0)
  })

  it('gives its slot back while it snoozes, and expires while it waits', async () => {
    await push('acme', 'snooze')
    await push('acme', 'next')
    await work()
    expect(calls).toEqual(['acme snooze', 'acme next'])
    const id = await occupy('Shopify:acme')
    await push('acme', 'late', { expiresAfter: 100 })
    await work()
    await sleep(150)
    expect(await sweep(db)).toMatchObject({ expired: 1 })
    await rows('DELETE FROM attempts WHERE id = $1', [id])
    await work()
    expect(calls).not.toContain('acme late')
  })

  it('gets one job of those that retryAll makes due again', async () => {
    await rows(`INSERT INTO attempts (target, method, args, limit_key, status, completed_at)
      SELECT 'Shopify', 'push', '["acme", "again"]', 'Shopify:acme', 'failed', now() FROM generate_series(1, 300)`)
    expect(await Attempt.retryAll({ target: Shopify })).toBe(300)
    expect(await jobs()).toBe(1)
    await work()
    expect(calls).toHaveLength(300)
    expect(await jobs()).toBe(0)
  })

  it('runs after its limit was removed from targets.ts, also if it waited without a job', async () => {
    await rows(
      `INSERT INTO attempts (target, method, args, limit_key) SELECT 'Shopify', 'push', jsonb_build_array('acme', i::text), 'Old:acme' FROM generate_series(1, 3) i`,
    )
    await rows('DELETE FROM graphile_worker._private_jobs')
    class Unlimited extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets(listed) }) {}
    await sweep(db)
    await work(2, Unlimited as never)
    expect(calls.toSorted()).toEqual(['acme 1', 'acme 2', 'acme 3'])
  })

  it('moves to the key of its present limit when its target was renamed', async () => {
    await occupy('Shopify:acme')
    await rows(
      `INSERT INTO attempts (target, method, args, limit_key) VALUES ('Shopify', 'push', '["acme", "a"]', 'Shop:acme')`,
    )
    await work()
    expect(calls).toEqual([])
    expect((await Attempt.pending())[0]!.limitKey).toBe('Shopify:acme')
  })

  it('is not performed by hand while its key is full', async () => {
    const id = await occupy('Shopify:acme')
    const attempt = await push('acme', 'a')
    await expect(perform(attempt)).rejects.toThrow('it waits for the limit "Shopify:acme"')
    expect(await attempt.perform()).toBe(false)
    await rows('DELETE FROM attempts WHERE id = $1', [id])
    expect(await attempt.perform()).toBe(true)
  })
})

it('a sweep adds no jobs for calls that wait, and one for a key whose job was lost', async () => {
  const id = await occupy('Shopify:acme')
  await rows(
    `INSERT INTO attempts (target, method, args, limit_key) SELECT 'Shopify', 'push', '["acme", "a"]', 'Shopify:acme' FROM generate_series(1, 2000)`,
  )
  await rows('DELETE FROM graphile_worker._private_jobs')
  expect(await sweep(db)).toMatchObject({ enqueued: 0 })
  await rows('DELETE FROM attempts WHERE id = $1', [id])
  await rows('DELETE FROM graphile_worker._private_jobs')
  expect(await sweep(db)).toMatchObject({ enqueued: 1 })
  expect(await sweep(db)).toMatchObject({ enqueued: 0 })
})
