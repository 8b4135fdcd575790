import { setTimeout as sleep } from 'node:timers/promises'
import { BaseAttempt, connect, defineTargets, hasToast, isSerializationFailure, sweep } from '@async-gen/runtime'
import { refreshNow } from '@async-gen/runtime/testing'
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { afterAll, afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest'
import { presenceOf } from '../../runtime/src/presence/presence.js'
import { refreshToast } from '../../runtime/src/toast/refresh.js'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { gate } from '../support/gate.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { PrismaClient } = await import('../.app/src/generated/prisma/client.js')

const name = new URL(url).pathname.slice(1)
const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
await query(inject('postgres').url, `ALTER DATABASE "${name}" SET default_transaction_isolation = 'serializable'`)

/** What a COMMIT of the PrismaClient does before its answer is lost; nothing is lost by default. */
let losesCommit: 'after committing' | 'before committing' | 'while committing' | undefined
/** What happens before the connection is lost. */
let beforeLoss = async () => {}
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
      const how = losesCommit
      losesCommit = undefined
      if (how === 'while committing') setTimeout(() => execute(statement), 500)
      else await execute({ ...statement, sql: how === 'before committing' ? 'ROLLBACK' : 'COMMIT' })
      await beforeLoss()
      throw new Error('Connection terminated unexpectedly')
    }
    return transaction
  }
  return adapter
}
const prisma = new PrismaClient({ adapter: factory })
const db = connect(prisma, { connectionString: url })

let calls = 0
let released = gate()
const Orders = {
  async plain() {
    calls++
    return calls
  },
  async hold() {
    calls++
    await released.opened
  },
  async write(subject: string) {
    calls++
    const tx = await Attempt.current().tx()
    await tx.newsletter.count()
    await tx.newsletter.create({ data: { subject } })
  },
  async snooze() {
    calls++
    return Attempt.current().snooze('1 hour')
  },
  async writeAndSnooze(subject: string) {
    await Orders.write(subject)
    return Attempt.current().snooze('1 hour')
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
  released = gate()
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

/** Has the answer to the next statement of that name be lost: the statement is carried out, at once or after something else. */
function loseAnswer(statement: RegExp, after?: Promise<unknown>): Promise<unknown> {
  const { pool } = db
  const send = pool.query
  let isSent = (_: unknown) => {}
  pool.query = (async (config: { name?: string }, ...rest: never[]) => {
    const sent = async () => await (send as (...args: unknown[]) => unknown).call(pool, config, ...rest)
    if (!statement.test(config.name ?? '')) return await sent()
    pool.query = send
    if (after) isSent(after.then(sent))
    else await sent()
    throw new Error('Connection terminated unexpectedly')
  }) as typeof send
  return new Promise((resolve) => {
    isSent = resolve
  })
}

describe('in a database whose transactions are serializable by default', () => {
  /**
   * A run whose transaction loses every conflict, as on a busy machine, is released, and the call is due again after two seconds. The sweep
   * releases a run whose end nobody knows.
   */
  const untilSucceeded = async (id: bigint) =>
    await eventually(`the success of ${id}`, async () => {
      const attempt = (await Attempt.perform(id)) ?? (await Attempt.find(id))!
      if (!attempt.isSucceeded) await sweep(db)
      return attempt.isSucceeded
    })

  it('200 of 200 calls succeed, also with max_attempts 1, and no run is counted twice', async () => {
    const recorded = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const options = i % 2 === 0 ? { maxAttempts: 1 } : {}
        return await Attempt.async(Orders, options).write(`issue ${i}`)
      }),
    )
    const waiting = recorded.map(({ id }) => id)
    await Promise.all(
      Array.from({ length: 6 }, async () => {
        for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) await untilSucceeded(id)
      }),
    )
    const ended = await rows('SELECT status, num_attempts, errors, count(*)::int FROM attempts GROUP BY 1, 2, 3')
    expect(ended).toEqual([{ status: 'succeeded', num_attempts: 1, errors: [], count: 200 }])
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

  /** Records an attempt whose claim commits when `perform` has given up. */
  const claimedLate = async () => {
    const { id } = await Attempt.create({ target: Orders, method: 'plain', maxAttempts: 1 })
    const [locked, performed] = [gate(), gate()]
    // Somebody has locked the row meanwhile, so that it cannot be claimed again.
    const lock = prisma.$transaction(
      async (tx) => {
        await tx.$executeRaw`SELECT FROM attempts WHERE id = ${id} FOR UPDATE`
        locked.open()
        await performed.opened
      },
      { timeout: 60_000 },
    )
    await locked.opened
    const late = loseAnswer(/^attempts:claim$/, lock)
    expect(await Attempt.perform(id)).toBe(null)
    performed.open()
    await late
    expect(await Attempt.find(id)).toMatchObject({ status: 'running', numAttempts: 1 })
    return id
  }

  it('is released by the sweep if it commits later, and its run is not counted', async () => {
    const id = await claimedLate()
    const { scheduledAt } = (await Attempt.find(id))!
    await sweep(db)
    expect(await Attempt.find(id), 'in its place in the queue').toMatchObject({
      status: 'pending',
      numAttempts: 0,
      errors: [],
      scheduledAt,
    })
    expect(await rows('SELECT locked_by FROM attempts')).toEqual([{ locked_by: null }])
  })

  it('is not released if somebody has cancelled the row since', async () => {
    const id = await claimedLate()
    await rows(`UPDATE attempts SET status = 'cancelled'`)
    await sweep(db)
    expect(await Attempt.find(id)).toMatchObject({ status: 'cancelled', numAttempts: 1 })
  })

  it('does not make the call run if another worker has claimed the row', async () => {
    const { id } = await Attempt.async(Orders).plain()
    await rows(`UPDATE attempts SET status = 'running', num_attempts = 1, locked_by = 2000000000`)
    loseAnswer(/^attempts:claim$/)
    await Attempt.perform(id)
    expect(calls).toBe(0)
    expect(await Attempt.find(id)).toMatchObject({ status: 'running', numAttempts: 1 })
  })

  it('does not make the call run a second time if this process runs it already', async () => {
    const { id } = await Attempt.async(Orders).hold()
    const running = Attempt.perform(id)
    await vi.waitFor(() => expect(calls).toBe(1))
    loseAnswer(/^attempts:claim$/)
    const again = Attempt.perform(id)
    expect(await Promise.race([again, sleep(5000, 'runs again')])).toBe(null)
    released.open()
    expect(await running).toMatchObject({ status: 'succeeded', numAttempts: 1 })
    expect(calls).toBe(1)
  })

  it('of a toast is found as well', async () => {
    const breakfast = hasToast(db, 'oat', 'breakfast', { compute: ({ name: oat }) => ({ oat }) })
    const oat = await prisma.oat.create({ data: { name: 'steel-cut' } })
    await breakfast(oat)
    loseAnswer(/^toasts:claim$/)
    await refreshNow(db, breakfast, oat)
    expect(await breakfast.peek(oat)).toMatchObject({ oat: 'steel-cut' })
  })

  it('of a toast that this process computes already does not compute it a second time', async () => {
    const done = gate()
    const compute = vi.fn(() => done.opened.then(() => 1))
    const breakfast = hasToast(db, 'oat', 'computed_once', { compute })
    const oat = await prisma.oat.create({ data: { name: 'steel-cut' } })
    await breakfast(oat)
    const id = { name: breakfast.toastName, key: breakfast.keyOf(oat) }
    const running = refreshToast(db, id)
    await vi.waitFor(() => expect(compute).toHaveBeenCalled())
    loseAnswer(/^toasts:claim$/)
    expect(await refreshToast(db, id)).toBe('nothing to do')
    done.open()
    expect(await running).toBe('refreshed')
  })
})

describe('a call whose transaction conflicts with another one', () => {
  it.each(['40001', '40P01'])(
    '%s in a statement of the call counts once, after some tries in the same run',
    async (code) => {
      const attempt = await Attempt.async(Orders, { maxAttempts: 1 }).lose(code)
      const started = performance.now()
      await attempt.perform()
      expect(await attempt.reload()).toMatchObject({ status: 'failed', numAttempts: 1, errors: [{ number: 1 }] })
      expect(calls).toBe(15)
      expect(performance.now() - started, 'with pauses, in which the other one can end').toBeGreaterThan(1000)
    },
  )

  it('has one time limit for all tries', async () => {
    const attempt = await Attempt.async(Orders, { maxAttempts: 1, timeout: '500ms' }).lose('40001')
    await attempt.perform()
    expect(await attempt.reload()).toMatchObject({ status: 'failed', errors: [{ number: 1, code: 'TIMEOUT' }] })
    expect(calls).toBeLessThan(15)
  })

  it('runs no second time once the worker has to stop', async () => {
    const signal = AbortSignal.abort(new Error('the worker stops'))
    const losing = await Attempt.async(Orders).lose('40001')
    await losing.perform({ signal })
    expect(await losing.reload()).toMatchObject({ status: 'pending', numAttempts: 1, errors: [{ number: 1 }] })

    const writing = await Attempt.async(Orders).write('later')
    const { scheduledAt } = writing
    await trouble('40001', 1e6, `NEW.status = 'succeeded'`)
    await writing.perform({ signal })
    expect(await writing.reload(), 'due at once, for another worker').toMatchObject({
      status: 'pending',
      numAttempts: 0,
      scheduledAt,
    })
    expect(calls).toBe(2)
  })

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
    const open = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'`
    expect(await rows(open), 'no transaction of its tries stays open').toEqual([])
  })

  it('runs once if only the answer to its COMMIT was lost', async () => {
    const attempt = await Attempt.async(Orders).write('once')
    losesCommit = 'after committing'
    await attempt.perform()
    expect(await attempt.reload()).toMatchObject({ status: 'succeeded', numAttempts: 1 })
    expect([calls, await prisma.newsletter.count()]).toEqual([1, 1])
  })

  it('runs once if its COMMIT takes effect after the connection was lost', async () => {
    const attempt = await Attempt.async(Orders).write('once')
    losesCommit = 'while committing'
    await attempt.perform()
    expect(await attempt.reload()).toMatchObject({ status: 'succeeded', numAttempts: 1 })
    expect([calls, await prisma.newsletter.count()]).toEqual([1, 1])
  })

  it('snoozes once if only the answer to its COMMIT was lost', async () => {
    const attempt = await Attempt.async(Orders).writeAndSnooze('once')
    losesCommit = 'after committing'
    await attempt.perform()
    expect(await attempt.reload()).toMatchObject({ status: 'pending', numAttempts: 0, snoozes: 1 })
    expect([calls, await prisma.newsletter.count()]).toEqual([1, 1])
  })

  it('snoozes in its second try if its COMMIT was lost', async () => {
    const attempt = await Attempt.async(Orders).writeAndSnooze('once')
    losesCommit = 'before committing'
    await attempt.perform()
    expect(await attempt.reload()).toMatchObject({ status: 'pending', numAttempts: 0, snoozes: 1 })
    expect([calls, await prisma.newsletter.count()]).toEqual([2, 1])
  })

  it('is released by the sweep if a lock hides whether its COMMIT was lost', async () => {
    const { id } = await Attempt.async(Orders, { maxAttempts: 1 }).write('once')
    const psql = new pg.Client({ connectionString: url })
    await psql.connect()
    losesCommit = 'before committing'
    beforeLoss = async () => {
      await psql.query('BEGIN')
      await psql.query('SELECT FROM attempts FOR UPDATE')
    }
    await Attempt.perform(id)
    beforeLoss = async () => {}
    await psql.query('ROLLBACK')
    await psql.end()
    expect(await Attempt.find(id)).toMatchObject({ status: 'running', numAttempts: 1 })
    await sweep(db)
    expect(await Attempt.find(id)).toMatchObject({ status: 'pending', numAttempts: 0, errors: [] })
  })

  it('is released by a later sweep, as long as its row is locked', async () => {
    const { id: worker } = await presenceOf(db)
    const { id } = await Attempt.async(Orders).plain()
    await rows(`UPDATE attempts SET status = 'running', num_attempts = 1, locked_by = $1, started_at = now()`, [worker])
    await prisma.$transaction(async (tx) => {
      await tx.$executeRaw`SELECT FROM attempts FOR UPDATE`
      await Attempt.store.runs.release({ id, number: 1, worker, batchId: null }, 0)
      await sweep(db)
    })
    expect(await Attempt.find(id)).toMatchObject({ status: 'running', numAttempts: 1 })
    await sweep(db)
    expect(await Attempt.find(id)).toMatchObject({ status: 'pending', numAttempts: 0 })
  })

  it('is released by no sweep more than an hour after it had ended in doubt', async () => {
    const { id: worker } = await presenceOf(db)
    const { id } = await Attempt.async(Orders).plain()
    const inDoubt = vi.spyOn(Date, 'now').mockReturnValue(Date.now() - 3_600_001)
    Attempt.store.runs.releaseLater({ id })
    inDoubt.mockRestore()
    await sweep(db)
    await rows(`UPDATE attempts SET status = 'running', num_attempts = 1, locked_by = $1, started_at = now()`, [worker])
    await sweep(db)
    expect(await Attempt.find(id)).toMatchObject({ status: 'running', numAttempts: 1 })
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

describe('a database that refuses statements for seconds', () => {
  it('delays the end of each run, and no call runs again', async () => {
    class Handling extends Attempt {
      override async handlePerformError() {
        await this.fail()
      }
    }
    const ended = [
      await Attempt.async(Orders).plain(),
      await Attempt.async(Orders).snooze(),
      await Attempt.async(Orders).lose('P0001'),
      await Handling.async(Orders).lose('P0001'),
    ]
    // A call that another one waits for ends by a statement of its own.
    await Attempt.async(Orders, { after: [ended[0]!] }).plain()
    const end = new Date(Date.now() + 3500).toISOString()
    await trouble('53100', 1e6, `NEW.status <> 'running' AND clock_timestamp() < '${end}'`)
    await Promise.all(ended.map((attempt) => attempt.perform()))
    expect(ended).toMatchObject([{ status: 'succeeded' }, { snoozes: 1 }, { status: 'pending' }, { status: 'failed' }])
    expect(calls, 'each call ran once').toBe(4)
  })
})
