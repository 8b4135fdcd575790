import {
  AesGcmEncryptor,
  attemptTask,
  BaseAttempt,
  defineTargets,
  limit,
  recordTarget,
  sweep,
} from '@async-gen/runtime'
import { run } from 'graphile-worker'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { presenceOf } from '../../runtime/src/presence/presence.js'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { gate } from '../support/gate.js'
import { query } from '../support/postgres.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

let calls: string[] = []
/** How many calls of a shop run now, and how many have run at the same time at most. */
let running = new Map<string, number>()
let most = new Map<string, number>()
let release = gate()

async function counted<Result>(shop: string, run: () => Promise<Result>): Promise<Result> {
  running.set(shop, (running.get(shop) ?? 0) + 1)
  most.set(shop, Math.max(most.get(shop) ?? 0, running.get(shop)!))
  try {
    return await run()
  } finally {
    running.set(shop, running.get(shop)! - 1)
  }
}

class Shopify {
  static async push(shop: string, name: string) {
    return await counted(shop, async () => {
      calls.push(`${shop} ${name}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    })
  }
  static async hold(shop: string) {
    return await counted(shop, async () => {
      calls.push(`hold ${shop}`)
      await release.opened
    })
  }
  static async fail(shop: string, name: string) {
    calls.push(`${shop} ${name}`)
    throw new Error(`no answer from ${shop}`)
  }
}
const Mail = {
  send: async (name: string) => {
    calls.push(`send ${name}`)
  },
  digest: async (account: { id: number; name: string }) => {
    calls.push(`digest ${account.id} ${account.name}`)
  },
}
const Orders = recordTarget({
  load: async (id: number) => ({ id }),
  methods: {
    ship: async ({ id }, carrier: string) => {
      calls.push(`ship ${id} ${carrier}`)
    },
  },
})
const targets = defineTargets(
  { Shopify, Mail, Orders },
  {
    limits: [
      limit(Shopify, { key: (shop) => shop, concurrency: 2 }),
      limit(Mail, { method: 'digest', key: ({ id }) => `account-${id}`, concurrency: 1 }),
      limit(Orders, { key: (_id, carrier) => carrier.toUpperCase(), concurrency: 1 }),
    ],
    renamed: { 'Shop.upload': 'Shopify.push' },
  },
)
const encryptor = new AesGcmEncryptor({ a: Buffer.alloc(32, 1) })

class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets, encryptors: [encryptor] }) {
  override retryDelay() {
    return 0
  }
}

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
const pending = async () => (await rows(`SELECT FROM attempts WHERE status = 'pending'`)).length
const jobs = async () => (await rows('SELECT FROM graphile_worker.jobs')).length
const statuses = async () =>
  Object.fromEntries(
    (await rows('SELECT status::text, count(*)::int FROM attempts GROUP BY 1 ORDER BY 1')).map((row) => [
      row.status,
      row.count,
    ]),
  )
const insert = (target: string, method: string, args: unknown[], columns: Record<string, unknown> = {}) =>
  rows(
    `INSERT INTO attempts (target, method, args, ${Object.keys(columns).concat('priority').join(', ')})
     VALUES ($1, $2, $3, ${Object.keys(columns)
       .map((_, i) => `$${i + 4}, `)
       .join('')} 10) RETURNING id`,
    [target, method, JSON.stringify(args), ...Object.values(columns)],
  )

/** Runs all jobs that are there, and those that they add. */
const work = (concurrency = 1) => runJobs(url, Attempt, { concurrency })

/** A worker that goes on until it is stopped. */
async function worker(concurrency: number) {
  const taskList = { attempt: attemptTask(Attempt) }
  const runner = await run({
    connectionString: url,
    taskList,
    concurrency,
    noHandleSignals: true,
    pollInterval: 60_000,
  })
  workers.push(runner)
  return runner
}
let workers: { stop(): Promise<void> }[] = []

const ended = () =>
  eventually(
    'the end of all calls',
    async () => (await rows(`SELECT FROM attempts WHERE completed_at IS NULL AND scheduled_at <= now()`)).length === 0,
    30_000,
  )

beforeEach(() => {
  calls = []
  running = new Map()
  most = new Map()
  release = gate()
})
afterEach(async () => {
  release.open()
  await Promise.all(workers.map((each) => each.stop()))
  workers = []
  await rows('TRUNCATE attempts, async_pauses, async_limits, async_limit_starts, graphile_worker._private_jobs CASCADE')
})

describe('limit(target, { key, concurrency })', () => {
  it('runs no more calls of a key at the same time, and all of them in the end', async () => {
    const shops = ['acme', 'globex', 'initech']
    for (let i = 0; i < 10; i++) for (const shop of shops) await Attempt.async(Shopify).push(shop, `${i}`)
    await work(12)
    expect(calls.toSorted()).toEqual(
      shops.flatMap((shop) => Array.from({ length: 10 }, (_, i) => `${shop} ${i}`)).toSorted(),
    )
    expect([...most.values()]).toEqual([2, 2, 2])
    expect(await statuses()).toEqual({ succeeded: 30 })
  })

  it('stores the name of the limit and the key with the call', async () => {
    const push = await Attempt.async(Shopify).push('acme', 'a')
    const digest = await Attempt.async(Mail).digest({ id: 7, name: 'Ann' })
    const ship = await Attempt.async(Orders.for({ id: 1 })).ship('dhl')
    const send = await Attempt.async(Mail).send('a')
    expect([push, digest, ship, send].map(({ limitKey }) => limitKey)).toEqual([
      'Shopify:acme',
      'Mail.digest:account-7',
      'Orders:DHL',
      null,
    ])
    await work(4)
    expect(await statuses()).toEqual({ succeeded: 4 })
  })

  it('enqueues one job for the calls of a key that are recorded together', async () => {
    await Attempt.createMany(
      Array.from({ length: 100 }, (_, i) => ({
        target: Shopify,
        method: 'push' as const,
        args: ['acme', `${i}`] as [string, string],
      })),
    )
    expect([await pending(), await jobs()]).toEqual([100, 1])
    await worker(8)
    await ended()
    expect(calls.toSorted()).toEqual(Array.from({ length: 100 }, (_, i) => `acme ${i}`).toSorted())
    expect(most.get('acme')).toBe(2)
  })

  it('lets calls of other keys, and calls without a limit, run while a key is full', async () => {
    for (let i = 0; i < 3; i++) await Attempt.async(Shopify).hold('acme')
    await worker(5)
    await eventually('two calls', async () => calls.length === 2, 30_000)
    await Attempt.async(Shopify).push('globex', 'a')
    await Attempt.async(Mail).send('b')
    await eventually('the others', async () => calls.length === 4, 30_000)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(await statuses()).toEqual({ pending: 1, running: 2, succeeded: 2 })
    // The waiting call has no job: nothing polls.
    expect((await rows(`SELECT FROM graphile_worker.jobs WHERE locked_at IS NULL`)).length).toBe(0)
    release.open()
    await ended()
    expect(await statuses()).toEqual({ succeeded: 5 })
    const attempts = await rows(`SELECT num_attempts, errors FROM attempts`)
    expect(attempts.every(({ num_attempts, errors }) => num_attempts === 1 && errors.length === 0)).toBe(true)
  })

  it('runs waiting calls by priority, then by time', async () => {
    const [{ id }] = (await insert('Orders', 'ship', [1, 'dhl'], { limit_key: 'Orders:DHL', status: 'running' })) as [
      { id: string },
    ]
    const ship = (order: number, options = {}) => Attempt.async(Orders.for({ id: order }), options).ship('dhl')
    await ship(2)
    await ship(1, { priority: 30 })
    await ship(9, { scheduledAt: new Date(Date.now() + 3_600_000), priority: 40 })
    await ship(3)
    await work(3)
    expect(calls).toEqual([])
    await rows('DELETE FROM attempts WHERE id = $1', [id])
    await work(3)
    expect(calls).toEqual(['ship 1 dhl', 'ship 2 dhl', 'ship 3 dhl'])
  })

  it('computes the key of rows that SQL inserted, of encrypted ones and of those with an older name', async () => {
    await insert('Shopify', 'push', ['acme', 'a'])
    await insert('Shop', 'upload', ['acme', 'b'])
    await Attempt.create({ target: Shopify, method: 'push', args: ['acme', 'c'], encryptor } as never)
    await insert('Shopify', 'push', ['acme', 'd'])
    expect((await rows('SELECT DISTINCT limit_key FROM attempts ORDER BY 1')).map((row) => row.limit_key)).toEqual([
      'Shopify:acme',
      null,
    ])
    await work(6)
    expect((await rows('SELECT DISTINCT limit_key FROM attempts')).map((row) => row.limit_key)).toEqual([
      'Shopify:acme',
    ])
    expect(most.get('acme')).toBeLessThanOrEqual(2)
    expect(await statuses()).toEqual({ succeeded: 4 })
  })

  it('refuses a call without a key, and fails a row without one', async () => {
    await expect(Attempt.async(Orders.for({ id: 1 })).ship(undefined as never)).rejects.toThrow(
      'The limit of Orders.ship in targets.ts has no key for this call: its function `key` threw:',
    )
    await expect(Attempt.async(Shopify).push(7 as never, 'a')).rejects.toMatchObject({
      code: 'INVALID_LIMIT_KEY',
      message:
        'The limit of Shopify.push in targets.ts has no key for this call: its function `key` returned 7, which is no text.',
    })
    await expect(Attempt.async(Shopify).push('a'.repeat(501), 'a')).rejects.toMatchObject({ code: 'INVALID_LIMIT_KEY' })
    await expect(Attempt.async(Shopify).push('a\0', 'a')).rejects.toMatchObject({ code: 'INVALID_LIMIT_KEY' })
    await insert('Shopify', 'push', [7, 'a'])
    await work()
    expect(calls).toEqual([])
    const [failed] = await Attempt.failed()
    expect(failed).toMatchObject({ numAttempts: 1, errors: [{ code: 'INVALID_LIMIT_KEY' }] })
  })

  it.each(['before', 'after'])('holds for a call that is claimed just %s one without a limit', async (order) => {
    const held = [1, 2, 3].map(() => ({ target: Shopify, method: 'hold' as const, args: ['acme'] as [string] }))
    const [, , full] = await Attempt.createMany(held)
    await rows(`UPDATE attempts SET status = 'running' WHERE id <> $1`, [full!.id])
    const free = await Attempt.async(Mail).send('a')
    const { id: worker } = await presenceOf(db)
    const { runs } = Attempt.store
    const limits = { list: (await Attempt.targets()).limits, argsOf: () => ['acme'] }
    // At the same moment, so that one statement could claim both.
    const claims = [() => runs.claim(full!.id, worker, { limits }), () => runs.claim(free.id, worker)]
    const claimed = await Promise.all((order === 'before' ? claims : claims.toReversed()).map((claim) => claim()))
    const [limited, unlimited] = order === 'before' ? claimed : claimed.toReversed()
    expect(limited).toEqual({ claimed: undefined, waits: true })
    expect(await full!.reload()).toMatchObject({ status: 'pending' })
    expect(unlimited!.claimed?.run.id).toBe(free.id)
  })
})

describe('a slot is free as soon as its run is over:', () => {
  const events: Record<string, (id: string) => Promise<unknown>> = {
    'the call is cancelled': async (id) => (await Attempt.find(id))!.cancel(),
    'SQL cancels the row': (id) =>
      rows(`UPDATE attempts SET status = 'cancelled', completed_at = now() WHERE id = $1`, [id]),
    'SQL deletes the row': (id) => rows('DELETE FROM attempts WHERE id = $1', [id]),
    'Prisma sets the row to failed': (id) =>
      prisma.attempt.update({ where: { id: BigInt(id) }, data: { status: 'failed' } as never }),
    'a repeatable read transaction ends it': (id) =>
      prisma.$transaction(
        async (tx) => void (await tx.$executeRaw`UPDATE attempts SET status = 'failed' WHERE id = ${BigInt(id)}`),
        {
          isolationLevel: 'RepeatableRead',
        },
      ),
    'the sweep rescues it from a dead worker': async (id) => {
      await rows('UPDATE attempts SET locked_by = 2147483647, max_attempts = 1 WHERE id = $1', [id])
      await sweep(db)
    },
  }
  it.each(Object.keys(events))('%s', async (event) => {
    await Attempt.createMany(
      [1, 2, 3].map(() => ({ target: Shopify, method: 'hold' as const, args: ['acme'] as [string] })),
    )
    // Their runs never end by themselves.
    await rows(`UPDATE attempts SET status = 'running', num_attempts = 1, started_at = now(), locked_by = (
      SELECT id FROM async_workers ORDER BY id DESC LIMIT 1) WHERE id IN (SELECT id FROM attempts ORDER BY id LIMIT 2)`)
    await rows('SELECT graphile_worker.complete_jobs(array_agg(id)) FROM graphile_worker.jobs')
    release.open()
    await work()
    expect(calls).toEqual([])
    const [{ id }] = (await rows('SELECT id FROM attempts ORDER BY id LIMIT 1')) as [{ id: string }]
    await events[event]!(id)
    // The sweep also adds one itself, because the key has room. It finds nothing to do.
    expect(await jobs()).toBe(event.startsWith('the sweep') ? 2 : 1)
    await work()
    expect(calls).toEqual(['hold acme'])
  })

  it('a transaction that rolls back frees nothing', async () => {
    await Attempt.createMany(
      [1, 2, 3].map(() => ({ target: Shopify, method: 'hold' as const, args: ['acme'] as [string] })),
    )
    await rows(`UPDATE attempts SET status = 'running' WHERE id IN (SELECT id FROM attempts ORDER BY id LIMIT 2)`)
    await rows('SELECT graphile_worker.complete_jobs(array_agg(id)) FROM graphile_worker.jobs')
    await prisma
      .$transaction(async (tx) => {
        await tx.$executeRaw`DELETE FROM attempts WHERE status = 'running'`
        throw new Error('rolled back')
      })
      .catch(() => {})
    expect(await jobs()).toBe(0)
  })
})
