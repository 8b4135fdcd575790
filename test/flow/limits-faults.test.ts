import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { attemptTask, BaseAttempt, connect, defineTargets, limit, sweep } from '@async-gen/runtime'
import { perform } from '@async-gen/runtime/testing'
import { run } from 'graphile-worker'
import pg from 'pg'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { gate } from '../support/gate.js'
import { APP, REPOSITORY } from '../support/host.js'
import { query } from '../support/postgres.js'
import { bundled } from '../support/programs.js'
import { runJobs } from '../support/work.js'
import { startWorker, type WorkerProcess } from '../support/worker.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

let calls: string[] = []
let release = gate()

const record = async (key: string, name: string) => void calls.push(`${key} ${name}`)
const Shop = {
  push: record,
  hold: async (shop: string, name: string) => {
    await record(shop, name)
    await release.opened
  },
}
const Ledger = { book: record }
const Mail = { send: record }
const targets = defineTargets(
  { Shop, Ledger, Mail },
  {
    limits: [
      limit(Shop, { key: (shop) => shop, concurrency: 2 }),
      limit(Ledger, { key: (account) => account, order: 'strict' }),
      limit(Mail, { key: (to) => to, rate: { limit: 1, per: '1 minute' } }),
    ],
  },
)
const binding = { model: 'Attempt', table: 'attempts', targets } as const
class Attempt extends BaseAttempt(db, binding) {}

const rows = <Row = Record<string, unknown>>(sql: string, values?: unknown[]) =>
  query(url, sql, values) as Promise<Row[]>
const loseJobs = () => rows('DELETE FROM graphile_worker._private_jobs')
const statuses = async () => (await rows('SELECT status::text FROM attempts ORDER BY id')).map(({ status }) => status)
const work = (concurrency = 4, Class: Parameters<typeof attemptTask>[0] = Attempt) =>
  runJobs(url, Class, { concurrency })

/** A run that goes on until its row is changed. */
async function occupy(limitKey: string): Promise<string> {
  const [target] = limitKey.split(':')
  const [row] = await rows<{ id: string }>(
    `INSERT INTO attempts (target, method, args, limit_key, status, num_attempts, started_at, locked_by)
     VALUES ($2, 'push', '["acme", "running"]', $1, 'running', 1, now(), (SELECT max(id) FROM async_workers)) RETURNING id`,
    [limitKey, target],
  )
  return row!.id
}

/** Another transaction, which stays open until it is told to end. */
async function transaction(sql: string): Promise<{ end: (how: 'COMMIT' | 'ROLLBACK') => Promise<void> }> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('BEGIN')
  await client.query(sql)
  return {
    end: async (how) => {
      await client.query(how)
      await client.end()
    },
  }
}

beforeAll(async () => {
  await work()
  // Registers this process as a worker.
  await perform(await Attempt.async(Shop).push('first', 'call'))
})
beforeEach(() => {
  calls = []
  release = gate()
})
afterEach(async () => {
  release.open()
  await rows('TRUNCATE attempts, async_pauses, async_limits, async_limit_starts, graphile_worker._private_jobs CASCADE')
})

describe('the sweep finds a key with room for a call, and without a job,', () => {
  it('although other calls of it run', async () => {
    await occupy('Shop:acme')
    await Attempt.async(Shop).push('acme', 'a')
    await loseJobs()
    expect(await sweep(db)).toMatchObject({ enqueued: 1 })
    expect(await sweep(db)).toMatchObject({ enqueued: 0 })
    await work()
    expect(calls).toEqual(['acme a'])
  })

  it('not one that is full, until SQL raises its limit', async () => {
    for (let i = 0; i < 2; i++) await occupy('Shop:acme')
    await Attempt.async(Shop).push('acme', 'a')
    await work()
    expect(await sweep(db)).toMatchObject({ enqueued: 0 })
    await rows(`INSERT INTO async_limits (model, limit_key, concurrency) VALUES ('Attempt', 'Shop', 3)`)
    expect(await sweep(db)).toMatchObject({ enqueued: 1 })
    await work()
    expect(calls).toEqual(['acme a'])
  })

  it('of a strict order, when its first call may start', async () => {
    await Attempt.async(Ledger).book('acme', 'first')
    await Attempt.async(Ledger).book('acme', 'second')
    await loseJobs()
    const retry = (at: string) =>
      rows(`UPDATE attempts SET started_at = now(), scheduled_at = ${at} WHERE args ->> 1 = 'first'`)
    await retry(`now() + interval '1 hour'`)
    await loseJobs()
    expect(await sweep(db)).toMatchObject({ enqueued: 0 })
    await retry('now()')
    await loseJobs()
    expect(await sweep(db)).toMatchObject({ enqueued: 1 })
    await work()
    expect(calls).toEqual(['acme first', 'acme second'])
  })

  it('although one of its calls waits for a retry, if its order is not strict', async () => {
    await Attempt.async(Shop).push('acme', 'retried')
    await Attempt.async(Shop).push('acme', 'next')
    await rows(
      `UPDATE attempts SET started_at = now(), scheduled_at = now() + interval '1 hour' WHERE args ->> 1 = 'retried'`,
    )
    await loseJobs()
    expect(await sweep(db)).toMatchObject({ enqueued: 1 })
    await work()
    expect(calls).toEqual(['acme next'])
  })

  it('whose rate would wait for years since the clock of the database was set back', async () => {
    await Attempt.async(Mail).send('ann', 'a')
    await Attempt.async(Mail).send('ann', 'b')
    await work()
    expect(calls).toEqual(['ann a'])
    expect(await sweep(db)).toMatchObject({ enqueued: 0 })
    const year = `interval '1 year'`
    await rows(
      `UPDATE async_limit_starts SET times[1] = times[1] + ${year}, wake_at = wake_at + ${year}, expires_at = expires_at + ${year}`,
    )
    await loseJobs()
    expect(await sweep(db)).toMatchObject({ enqueued: 1 })
    await work()
    expect(calls).toEqual(['ann a', 'ann b'])
    const [starts] = await rows(
      `SELECT cardinality(times) AS times, times[1] < now() + interval '1 hour' AS "isNow" FROM async_limit_starts`,
    )
    expect(starts).toEqual({ times: 1, isNow: true })
  })
})

it('SQL that moves a running call to another key frees its slot, which the sweep finds', async () => {
  const ids = [await occupy('Shop:acme'), await occupy('Shop:acme')]
  await Attempt.async(Shop).push('acme', 'a')
  await loseJobs()
  await rows(`UPDATE attempts SET limit_key = 'Shop:globex' WHERE id = $1`, [ids[0]])
  await sweep(db)
  await work()
  expect(calls).toEqual(['acme a'])
})

it('numbers that are no limit are refused, because each claim computes with them', async () => {
  const write = (columns: string, values: string) =>
    rows(`INSERT INTO async_limits (model, limit_key, ${columns}) VALUES ('Attempt', 'Mail', ${values})`)
  await expect(write('concurrency', '0')).rejects.toThrow('async_limits_are_positive')
  await expect(write('rate_limit', '5')).rejects.toThrow('async_limits_have_windows')
  for (const window of ['0', `'NaN'`, `'Infinity'`, '1e300'])
    await expect(write('rate_limit, rate_ms', `5, ${window}`), window).rejects.toThrow('async_limits_have_windows')
})

describe('while another transaction', () => {
  it('has ended runs of many keys and stays open, the calls of other keys go on', async () => {
    const keys = ['a', 'b', 'c', 'd', 'e', 'f']
    for (const key of keys) {
      await occupy(`Ledger:${key}`)
      await Attempt.async(Ledger).book(key, 'waits')
    }
    await Attempt.async(Ledger).book('other', 'goes on')
    const other = await transaction(
      `UPDATE attempts SET status = 'cancelled', completed_at = now() WHERE status = 'running'`,
    )
    const started = performance.now()
    const worked = work(10)
    await eventually('the call of the other key', async () => calls.length > 0)
    expect(performance.now() - started).toBeLessThan(8000)
    await worked
    expect(calls).toEqual(['other goes on'])
    await other.end('COMMIT')
    await work()
    expect(calls.slice(1).toSorted()).toEqual(keys.map((key) => `${key} waits`))
  })

  it('has locked the first waiting calls of a key, the jobs wait for it', async () => {
    for (let i = 0; i < 12; i++) await Attempt.async(Shop).push('acme', `${i}`)
    const other = await transaction('SELECT FROM attempts FOR UPDATE')
    const worked = work(10)
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(calls).toEqual([])
    await other.end('ROLLBACK')
    await worked
    expect(calls).toHaveLength(12)
  })
})

it('a claim whose COMMIT had no answer leaves no run behind that holds its slot', async () => {
  const own = connect(prisma, { connectionString: url })
  class Lossy extends BaseAttempt(own, binding) {}
  await Lossy.async(Ledger).book('acme', 'a')
  await Lossy.async(Ledger).book('acme', 'b')
  const { pool } = own
  const open = pool.connect.bind(pool)
  let losses = 0
  pool.connect = (async (...args: []) => {
    // pool.query passes a callback.
    if (args.length > 0) return open(...args)
    const client = await open()
    const send = client.query.bind(client) as (...args: unknown[]) => unknown
    const isClaim = { seen: false }
    client.query = (async (config: string | { name?: string }, ...rest: unknown[]) => {
      if (typeof config === 'object' && config.name?.includes('claim-limited')) isClaim.seen = true
      const answer = await send(config, ...rest)
      if (config !== 'COMMIT' || !isClaim.seen || losses > 0) return answer
      losses++
      throw new Error('Connection terminated unexpectedly')
    }) as never
    return client
  }) as never
  try {
    await Lossy.perform(BigInt((await rows<{ id: string }>('SELECT min(id) AS id FROM attempts'))[0]!.id), {
      job: { limitKey: 'Ledger:acme', enqueuesNext: true },
    } as never)
    expect([losses, calls, await statuses()]).toEqual([1, [], ['running', 'pending']])
    await sweep(own)
    expect(await statuses()).toEqual(['pending', 'pending'])
    await work(4, Lossy)
    expect(calls).toEqual(['acme a', 'acme b'])
    expect(await rows('SELECT DISTINCT num_attempts, errors FROM attempts')).toEqual([{ num_attempts: 1, errors: [] }])
  } finally {
    await own.close()
  }
})

it('a call that is retried while a job looks for its limit does not begin without it', async () => {
  await Attempt.async(Mail).send('ann', 'a')
  await work()
  expect(calls).toEqual(['ann a'])
  await rows(`INSERT INTO attempts (target, method, args) VALUES ('Mail', 'send', '["ann", "b"]')`)
  await rows(`UPDATE attempts SET status = 'running', num_attempts = 1, locked_by = 0 WHERE status = 'pending'`)
  const { pool } = db
  const send = pool.query
  let looks = 0
  pool.query = (async (config: { name?: string }, ...rest: never[]) => {
    const answer = await (send as (...args: unknown[]) => unknown).call(pool, config, ...rest)
    if (config.name?.endsWith('limited-rows') && looks++ === 0)
      await rows(`UPDATE attempts SET status = 'pending' WHERE status = 'running'`)
    return answer
  }) as typeof send
  try {
    await work()
  } finally {
    pool.query = send
  }
  expect([looks > 0, calls]).toEqual([true, ['ann a']])
})

it('a worker that stops gives the slots of its runs back, and no more of them run elsewhere', async () => {
  await rows(
    'CREATE TABLE runs (id serial PRIMARY KEY, token uuid UNIQUE, attempt bigint, key text, started_at timestamptz, ended_at timestamptz, pid int)',
  )
  const start = () => startWorker(REPOSITORY, { DATABASE_URL: url }, bundled('test/flow/host/limits-worker.ts'))
  const runsOf = async ({ pid }: WorkerProcess) => (await rows('SELECT FROM runs WHERE pid = $1', [pid])).length
  const stopped = start()
  let other: WorkerProcess | undefined
  try {
    await rows(`INSERT INTO attempts (target, method, args, limit_key)
      SELECT 'Slots', 'work', '["acme", 3600000, 0, false]', 'Slots:acme' FROM generate_series(1, 3)`)
    await eventually('two runs', async () => (await runsOf(stopped)) === 2)
    other = start()
    await eventually(
      'another worker',
      async () =>
        (await rows('SELECT FROM async_workers WHERE pid = $1 AND pool_id IS NOT NULL', [other!.pid])).length > 0,
    )
    stopped.kill('SIGTERM')
    await eventually('the first signal', async () => stopped.log().includes('Stopping'))
    stopped.kill('SIGTERM')
    await stopped.exited
    await eventually('the slots', async () => (await runsOf(other!)) === 2)
    expect((await statuses()).toSorted()).toEqual(['pending', 'running', 'running'])
  } finally {
    for (const each of [stopped, other]) each?.kill('SIGKILL')
    await Promise.all([stopped, other].map((each) => each?.exited))
    await rows('DROP TABLE runs')
  }
}, 400_000)

describe.each(['repeatable read', 'serializable'])('with a pool whose transactions are %s', (isolation) => {
  it('limits, orders and rates hold, and every call runs', async () => {
    const options = `-c default_transaction_isolation=${isolation.replace(' ', '\\ ')}`
    const pool = new pg.Pool({ connectionString: url, options, max: 12 })
    const own = connect(prisma, { pool })
    const running = new Map<string, number>()
    const most = new Map<string, number>()
    const counted = async (key: string, name: string) => {
      running.set(key, (running.get(key) ?? 0) + 1)
      most.set(key, Math.max(most.get(key) ?? 0, running.get(key)!))
      await new Promise((resolve) => setTimeout(resolve, 5))
      running.set(key, running.get(key)! - 1)
      await record(key, name)
    }
    const [Slots, Order] = [{ work: counted }, { work: counted }]
    const limits = [
      limit(Slots, { key: (key) => key, concurrency: 2 }),
      limit(Order, { key: (key) => key, order: 'strict' }),
    ]
    class Own extends BaseAttempt(own, { ...binding, targets: defineTargets({ Slots, Order }, { limits }) }) {}
    await rows(`INSERT INTO attempts (target, method, args, limit_key)
      SELECT target, 'work', jsonb_build_array(target, i::text), target || ':' || target FROM generate_series(1, 30) AS i, unnest('{Slots,Order}'::text[]) AS target ORDER BY i`)
    const runner = await run({
      pgPool: pool,
      taskList: { attempt: attemptTask(Own) },
      concurrency: 8,
      pollInterval: 100,
      noHandleSignals: true,
    })
    try {
      await eventually('the end of all calls', async () => {
        await sweep(own)
        return (await rows('SELECT FROM attempts WHERE completed_at IS NULL')).length === 0
      })
    } finally {
      await runner.stop()
      await own.close()
      await pool.end()
    }
    expect(most.get('Order')).toBe(1)
    expect(most.get('Slots')).toBeLessThanOrEqual(2)
    const ordered = calls.filter((call) => call.startsWith('Order'))
    expect(ordered).toEqual(Array.from({ length: 30 }, (_, i) => `Order ${i + 1}`))
    expect(calls.filter((call) => call.startsWith('Slots'))).toHaveLength(30)
  })
})

it('a transaction that cancels waiting calls of two models with the same key wakes the next of both', async () => {
  await rows(secondModel())
  const insert = (table: string, count: number) =>
    rows(`INSERT INTO ${table} (target, method, args, limit_key)
      SELECT 'Shop', 'push', jsonb_build_array('acme', i), 'Shop:acme' FROM generate_series(1, ${count}) AS i`)
  await insert('attempts', 2)
  await insert('payments', 2)
  await loseJobs()
  const cancel = (table: string) =>
    `UPDATE ${table} SET status = 'cancelled', completed_at = now() WHERE args ->> 1 = '1'`
  await (await transaction(`${cancel('attempts')}; ${cancel('payments')}`)).end('COMMIT')
  const woken = await rows('SELECT task_identifier AS task FROM graphile_worker.jobs ORDER BY 1')
  await rows('DROP TABLE payments CASCADE')
  expect(woken).toEqual([{ task: 'attempt' }, { task: 'payment' }])
})

/** What the generator emits for a second model, from that of the first. */
function secondModel(): string {
  const folder = join(APP, 'prisma', 'migrations')
  const names = readdirSync(folder)
    .filter((name) => /attempt/.test(name))
    .sort()
  return names
    .map((name) => readFileSync(join(folder, name, 'migration.sql'), 'utf8'))
    .join('\n')
    .replaceAll('attempts', 'payments')
    .replaceAll('attempt_status', 'payment_status')
    .replaceAll("'attempt", "'payment")
    .replaceAll("'Attempt'", "'Payment'")
    .replaceAll(':Attempt:', ':Payment:')
    .replaceAll("'Attempt:", "'Payment:")
}
