import { setTimeout as sleep } from 'node:timers/promises'
import { BaseAttempt, connect, defineTargets, hasToast, isSerializationFailure, sweep } from '@async-gen/runtime'
import { refreshNow } from '@async-gen/runtime/testing'
import { PrismaPg } from '@prisma/adapter-pg'
import { afterAll, afterEach, beforeEach, describe, expect, inject, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { gate } from '../support/gate.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { PrismaClient } = await import('../.app/src/generated/prisma/client.js')

const name = new URL(url).pathname.slice(1)
const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
await query(inject('postgres').url, `ALTER DATABASE "${name}" SET default_transaction_isolation = 'serializable'`)

/** What a COMMIT of the PrismaClient does before its answer is lost; nothing is lost by default. */
let losesCommit: 'after committing' | 'before committing' | undefined
const factory = new PrismaPg({ connectionString: url, max: 20 })
const connectAdapter = factory.connect.bind(factory)
factory.connect = async () => {
  const adapter = await connectAdapter()
  const begin = adapter.startTransaction.bind(adapter)
  adapter.startTransaction = async (...args) => {
    const transaction = await begin(...args)
    const execute = transaction.executeRaw.bind(transaction)
    transaction.executeRaw = async (statement) => {
      if (statement.sql !== 'COMMIT' || !losesCommit) return await execute(statement)
      await execute({ ...statement, sql: losesCommit === 'before committing' ? 'ROLLBACK' : 'COMMIT' })
      losesCommit = undefined
      throw new Error('Connection terminated unexpectedly')
    }
    return transaction
  }
  return adapter
}
const prisma = new PrismaClient({ adapter: factory })
const db = connect(prisma, { connectionString: url })

let calls = 0
const Orders = {
  async plain() {
    calls++
    return calls
  },
  async write(subject: string) {
    calls++
    const tx = await Attempt.current().tx()
    await tx.newsletter.count()
    await tx.newsletter.create({ data: { subject } })
  },
  async lose(how: string) {
    calls++
    const tx = await Attempt.current().tx()
    await tx.$executeRawUnsafe(`DO $$ BEGIN RAISE 'lost to another' USING ERRCODE = '${how}'; END $$`)
  },
}
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Orders }) }) {}

beforeEach(() => {
  calls = 0
})
afterEach(async () => {
  await rows('TRUNCATE attempts, "Newsletter", graphile_worker._private_jobs, toasts CASCADE')
  await rows('DROP FUNCTION IF EXISTS trouble CASCADE; DROP SEQUENCE IF EXISTS troubles')
})
afterAll(async () => {
  await db.close()
  await prisma.$disconnect()
})

/** Has updates of attempts fail that many times where the condition holds. */
async function trouble(code: string, times: number, condition: string, table = 'attempts') {
  await rows(`
    CREATE SEQUENCE troubles;
    CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF nextval('troubles') <= ${times} THEN
        RAISE 'trouble' USING ERRCODE = '${code}';
      END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER trouble BEFORE INSERT OR UPDATE ON ${table} FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION trouble()`)
}

/** Has the answer to the next statement of that name be lost: the statement is carried out, at once or a while later. */
function loseAnswer(statement: RegExp, delay = 0): Promise<unknown> {
  const { pool } = db
  const send = pool.query
  let isSent = (_: unknown) => {}
  pool.query = (async (config: { name?: string }, ...rest: never[]) => {
    const sent = async () => await (send as (...args: unknown[]) => unknown).call(pool, config, ...rest)
    if (!statement.test(config.name ?? '')) return await sent()
    pool.query = send
    if (delay > 0) isSent(sleep(delay).then(sent))
    else await sent()
    throw new Error('Connection terminated unexpectedly')
  }) as typeof send
  return new Promise((resolve) => {
    isSent = resolve
  })
}

describe('in a database whose transactions are serializable by default', () => {
  it('200 of 200 calls succeed, also with max_attempts 1, and no run is counted twice', async () => {
    const recorded = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const options = i % 2 === 0 ? { maxAttempts: 1 } : {}
        return await Attempt.async(Orders, options).write(`issue ${i}`)
      }),
    )
    const waiting = recorded.map(({ id }) => id)
    await Promise.all(
      Array.from({ length: 15 }, async () => {
        for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) await Attempt.perform(id)
      }),
    )
    const ended = await rows('SELECT status, num_attempts, count(*)::int FROM attempts GROUP BY 1, 2')
    expect(ended).toEqual([{ status: 'succeeded', num_attempts: 1, count: 200 }])
    expect(await rows('SELECT count(DISTINCT subject)::int, count(*)::int AS all FROM "Newsletter"')).toEqual([
      { count: 200, all: 200 },
    ])
  })

  it('a conflict in a transaction of the host is thrown to the host', async () => {
    let arrived = 0
    let open = () => {}
    const both = new Promise<void>((resolve) => {
      open = resolve
    })
    const transfer = () =>
      prisma.$transaction(async (tx) => {
        await tx.newsletter.count()
        if (++arrived === 2) open()
        await both
        await tx.newsletter.create({ data: { subject: 'new' } })
        await Attempt.async(Orders, { tx }).plain()
      })
    const ended = await Promise.allSettled([transfer(), transfer()])
    const [lost] = ended.filter((each) => each.status === 'rejected')
    expect(isSerializationFailure(lost?.reason)).toBe(true)
    expect(await Attempt.count()).toBe(1)
  })
})

describe('a transient error of a statement of the runtime:', () => {
  it.each(['40001', '40P01', '55P03', '57014', '25006', '53100'])('%s costs a call no run', async (code) => {
    const attempt = await Attempt.async(Orders, { maxAttempts: 1 }).plain()
    await trouble(code, 4, `NEW.status = 'succeeded'`)
    await attempt.perform()
    expect(await attempt.reload()).toMatchObject({ status: 'succeeded', numAttempts: 1, errors: [] })
    expect(calls).toBe(1)
  })

  it.each(['40001', '40P01', '57014'])('%s does not prevent an attempt from being recorded', async (code) => {
    await trouble(code, 3, 'true')
    await Attempt.async(Orders).plain()
    expect(await Attempt.count()).toBe(1)
  })

  it('the error of a failed run is still recorded', async () => {
    const attempt = await Attempt.async(Orders).lose('P0001')
    await trouble('40001', 3, 'jsonb_array_length(NEW.errors) > 0')
    await attempt.perform()
    expect(await attempt.reload()).toMatchObject({ status: 'pending', numAttempts: 1, errors: [{ number: 1 }] })
  })

  it('a statement whose answer was lost takes effect once', async () => {
    const attempt = await Attempt.async(Orders).plain()
    loseAnswer(/^attempts:succeed/)
    expect(await attempt.perform()).toBe(true)
    expect(attempt).toMatchObject({ status: 'succeeded', result: 1 })
    expect(calls).toBe(1)
  })

  it('the recording of a call is not repeated, because it could be recorded twice', async () => {
    loseAnswer(/^attempts:insert/)
    await expect(Attempt.async(Orders).plain()).rejects.toThrow('Connection terminated')
    expect(await Attempt.count()).toBe(1)
  })
})

describe('a claim whose answer was lost', () => {
  it('is found, and the call runs at once', async () => {
    const attempt = await Attempt.async(Orders, { maxAttempts: 1 }).plain()
    loseAnswer(/^attempts:claim$/)
    expect(await attempt.perform()).toBe(true)
    expect(await attempt.reload()).toMatchObject({ status: 'succeeded', numAttempts: 1 })
  })

  it('is released by the sweep if it commits later, and its run is not counted', async () => {
    const { id } = await Attempt.create({ target: Orders, method: 'plain', maxAttempts: 1 })
    const late = loseAnswer(/^attempts:claim$/, 1000)
    // Somebody has locked the row meanwhile, so that it cannot be claimed again.
    const locked = prisma.$transaction(async (tx) => {
      await tx.$executeRaw`SELECT FROM attempts WHERE id = ${id} FOR UPDATE`
      await sleep(900)
    })
    await sleep(100)
    expect(await Attempt.perform(id)).toBe(null)
    await locked
    await late
    expect(await Attempt.find(id)).toMatchObject({ status: 'running', numAttempts: 1 })
    await sweep(db)
    expect(await Attempt.find(id)).toMatchObject({ status: 'pending', numAttempts: 0, errors: [] })
  })

  it('of a toast is found as well', async () => {
    const breakfast = hasToast(db, 'oat', 'breakfast', { compute: ({ name: oat }) => ({ oat }) })
    const oat = await prisma.oat.create({ data: { name: 'steel-cut' } })
    await breakfast(oat)
    loseAnswer(/^toasts:claim$/)
    await refreshNow(db, breakfast, oat)
    expect(await breakfast.peek(oat)).toMatchObject({ oat: 'steel-cut' })
  })
})

describe('a call whose transaction conflicts with another one', () => {
  it.each(['40001', '40P01'])(
    '%s in a statement of the call counts once, after some tries in the same run',
    async (code) => {
      const attempt = await Attempt.async(Orders, { maxAttempts: 1 }).lose(code)
      await attempt.perform()
      expect(await attempt.reload()).toMatchObject({ status: 'failed', numAttempts: 1, errors: [{ number: 1 }] })
      expect(calls).toBe(15)
    },
  )

  it('counts no run if its success can never be stored', async () => {
    const attempt = await Attempt.async(Orders, { maxAttempts: 1 }).write('never')
    await trouble('40001', 1e6, `NEW.status = 'succeeded'`)
    await attempt.perform()
    expect(await attempt.reload()).toMatchObject({
      status: 'pending',
      numAttempts: 0,
      errors: [],
      startedAt: expect.any(Date),
    })
    expect(attempt.scheduledAt.getTime()).toBeGreaterThan(Date.now())
    expect(await rows('SELECT FROM "Newsletter"')).toEqual([])
  })

  it('runs once if only the answer to its COMMIT was lost', async () => {
    const attempt = await Attempt.async(Orders).write('once')
    losesCommit = 'after committing'
    await attempt.perform()
    expect(await attempt.reload()).toMatchObject({ status: 'succeeded', numAttempts: 1 })
    expect([calls, await prisma.newsletter.count()]).toEqual([1, 1])
  })

  it('runs again in the same run if its COMMIT was lost', async () => {
    const attempt = await Attempt.async(Orders, { maxAttempts: 1 }).write('once')
    losesCommit = 'before committing'
    await attempt.perform()
    expect(await attempt.reload()).toMatchObject({ status: 'succeeded', numAttempts: 1 })
    expect([calls, await prisma.newsletter.count()]).toEqual([2, 1])
  })
})

describe('the sweep', () => {
  it('continues in another process within ten seconds if one process is frozen during a sweep', async () => {
    const frozen = connect(prisma, { connectionString: url })
    const lock = {
      name: 'lock',
      text: `SELECT pg_try_advisory_xact_lock(hashtextextended('async-gen:sweep', 0)) AS taken`,
    }
    const thawed = gate()
    const holding = frozen.transaction(async (send) => {
      await send(lock, [])
      await thawed.opened
    })
    holding.catch(() => {})
    const free = async () => await db.transaction(async (send) => (await send<{ taken: boolean }>(lock, []))[0]!.taken)
    const started = Date.now()
    await sleep(500)
    expect(await free()).toBe(false)
    while (!(await free())) await sleep(200)
    expect(Date.now() - started).toBeLessThan(15_000)
    thawed.open()
    await expect(holding).rejects.toThrow()
    await frozen.close()
  })
})
