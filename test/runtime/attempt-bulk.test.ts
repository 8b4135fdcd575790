import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { attemptTask, BaseAttempt, defineTargets, PermanentError } from '@async-gen/runtime'
import { Logger, run, runMigrations, runOnce } from 'graphile-worker'
import pg from 'pg'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { gate } from '../support/gate.js'
import { REPOSITORY } from '../support/host.js'
import { query } from '../support/postgres.js'
import { bundled } from '../support/programs.js'
import { childEnv } from '../support/run.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

let performed: string[] = []
let aborted: unknown[] = []
let held = gate()

const Work = {
  note: async (name: string) => {
    performed.push(name)
    return name
  },
  fail: async () => {
    throw new PermanentError('the card is stolen')
  },
  untilAborted: async () => {
    const { signal } = Attempt.current()
    held.open()
    await once(signal, 'abort')
    aborted.push(signal.reason)
    signal.throwIfAborted()
  },
}
const Other = { note: async () => {} }
const subclasses: Record<string, object> = {}
const targets = defineTargets(() => ({ Work, Other }), { subclasses })
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}
class UrgentAttempt extends Attempt {}
Object.assign(subclasses, { UrgentAttempt })

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
const settings = {
  connectionString: url,
  taskList: { attempt: attemptTask(Attempt) },
  noHandleSignals: true,
  logger: new Logger(() => () => {}),
}
const jobs = async () => (await rows('SELECT FROM graphile_worker.jobs')).length
const statuses = async () =>
  Object.fromEntries(
    (await rows('SELECT status, count(*)::int FROM attempts GROUP BY status')).map(({ status, count }) => [
      status,
      count,
    ]),
  )

/** Inserts rows that have ended or wait, without their jobs. */
async function fill(count: number, status: string, more = '') {
  await rows('ALTER TABLE attempts DISABLE TRIGGER USER')
  await rows(
    `INSERT INTO attempts (target, method, args, status, num_attempts, completed_at, errors, expires_at, progress, progress_message)
     SELECT 'Work', 'note', jsonb_build_array(i::text), $2::attempt_status, 25, CASE WHEN $2 NOT IN ('pending', 'running') THEN now() END,
       '[{"name": "Error", "message": "connect ECONNREFUSED"}]', now() - interval '1 hour', 0.5, 'half'
     FROM generate_series(1, $1) AS i ${more}`,
    [count, status],
  )
  await rows('ALTER TABLE attempts ENABLE TRIGGER USER')
}

beforeAll(() => runMigrations({ connectionString: url }))
beforeEach(() => {
  performed = []
  aborted = []
  held = gate()
})
afterEach(() => rows('TRUNCATE attempts, graphile_worker._private_jobs CASCADE'))

describe('bulk operations change the attempts that match', () => {
  it('retryAll makes failed attempts due again, and they run in their old order', async () => {
    await fill(3, 'failed')
    await fill(1, 'cancelled')
    await rows(`UPDATE attempts SET scheduled_at = now() + interval '1 day'`)
    expect(await Attempt.retryAll({})).toBe(3)
    expect(await statuses()).toEqual({ pending: 3, cancelled: 1 })
    const retried = await Attempt.pending()
    for (const { expiresAt, progress, progressMessage, completedAt, maxAttempts, isDue } of retried)
      expect({ expiresAt, progress, progressMessage, completedAt, maxAttempts, isDue }).toEqual({
        expiresAt: null,
        progress: null,
        progressMessage: null,
        completedAt: null,
        maxAttempts: 26,
        isDue: true,
      })
    await runOnce({ ...settings, concurrency: 1 })
    expect(performed).toEqual(['1', '2', '3'])
  })

  it('retryAll of other statuses, if the filter names them', async () => {
    for (const status of ['failed', 'expired', 'cancelled', 'succeeded']) await fill(2, status)
    expect(await Attempt.retryAll({ status: ['expired', 'cancelled'] })).toBe(4)
    expect(await statuses()).toEqual({ pending: 4, failed: 2, succeeded: 2 })
  })

  it('retryAll keeps an expiry that has not passed', async () => {
    await fill(1, 'failed')
    await rows(`UPDATE attempts SET expires_at = now() + interval '1 hour'`)
    await Attempt.retryAll({})
    expect((await Attempt.pending())[0]!.expiresAt).toBeInstanceOf(Date)
  })

  it('cancelAll cancels those that wait and those that run, expireAll and failAll end those that wait', async () => {
    for (const status of ['pending', 'running', 'failed']) await fill(2, status)
    await rows(`UPDATE attempts SET locked_by = 1 WHERE status = 'running'`)
    expect(await Attempt.expireAll({ target: 'Unknown' })).toBe(0)
    expect(await Attempt.cancelAll({ status: 'running' })).toBe(2)
    expect(await Attempt.expireAll({})).toBe(2)
    await fill(3, 'pending')
    expect(await Attempt.failAll({}, { dryRun: true })).toBe(3)
    expect(await Attempt.failAll({})).toBe(3)
    expect(await statuses()).toEqual({ cancelled: 2, expired: 2, failed: 5 })
    expect(await jobs(), 'what has ended needs none').toBe(0)
    const ended = 'completed_at IS NOT NULL AND locked_by IS NULL'
    expect(await rows(`SELECT count(*)::int FROM attempts WHERE ${ended}`)).toEqual([{ count: 9 }])
  })

  it('rescheduleAll moves those that wait, with their jobs, to a Date or by a duration from now', async () => {
    await Attempt.createMany([1, 2].map((name) => ({ target: Work, method: 'note', args: [`${name}`] })))
    await Attempt.async(Other).note()
    const date = new Date(Date.now() + 86_400_000)
    expect(await Attempt.rescheduleAll({ target: Work }, { to: date })).toBe(2)
    for (const attempt of await Attempt.where({ target: Work })) expect(attempt.scheduledAt).toEqual(date)
    expect(await rows('SELECT FROM graphile_worker.jobs WHERE run_at = $1', [date])).toHaveLength(2)

    expect(await Attempt.rescheduleAll({ target: Work, method: 'note' }, { to: '1 hour' })).toBe(2)
    const [{ scheduledAt }] = (await Attempt.where({ target: Work })) as [Attempt]
    expect(Math.abs(scheduledAt.getTime() - Date.now() - 3_600_000)).toBeLessThan(60_000)
    expect(await jobs()).toBe(3)
  })

  it('only those that match, by error, target, method and type', async () => {
    const urgent = await UrgentAttempt.async(Work).fail()
    const plain = await Attempt.async(Work).fail()
    for (const attempt of [urgent, plain]) await attempt.perform()
    await fill(1, 'failed')
    expect(await Attempt.retryAll({ error: 'stolen', target: Other })).toBe(0)
    expect(await UrgentAttempt.retryAll({ error: 'econnrefused' })).toBe(0)
    expect(await UrgentAttempt.retryAll({ error: 'STOLEN', target: Work, method: 'fail' })).toBe(1)
    expect((await Attempt.pending()).map(({ id }) => id)).toEqual([urgent.id])
    expect(await Attempt.cancelAll({ data: {} })).toBe(1)
  })

  it('with dryRun none, and the count is the same', async () => {
    await fill(7, 'failed')
    await fill(3, 'pending')
    const before = await rows('SELECT * FROM attempts ORDER BY id')
    expect(await Attempt.retryAll({ error: 'ECONNREFUSED' }, { dryRun: true })).toBe(7)
    expect(await Attempt.cancelAll({}, { dryRun: true })).toBe(3)
    expect(await Attempt.expireAll({}, { dryRun: true })).toBe(3)
    expect(await Attempt.rescheduleAll({}, { to: '1 day', dryRun: true })).toBe(3)
    expect(await rows('SELECT * FROM attempts ORDER BY id')).toEqual(before)
    expect(await jobs()).toBe(0)
  })

  it('and each changed row has a job, also if the role may not add jobs itself', async () => {
    await fill(3, 'failed')
    await rows(`CREATE ROLE lesser_${new URL(url).pathname.slice(-8)} NOLOGIN`).catch(() => {})
    const lesser = `lesser_${new URL(url).pathname.slice(-8)}`
    await rows(
      `GRANT ${lesser} TO CURRENT_USER; GRANT USAGE ON SCHEMA public TO ${lesser}; GRANT SELECT, UPDATE ON attempts TO ${lesser}`,
    )
    const { pool } = db
    const setRole = (role: string) => (client: { query(sql: string): unknown }) => void client.query(`SET ROLE ${role}`)
    const become = setRole(lesser)
    pool.on('acquire', become)
    try {
      expect(await Attempt.retryAll({})).toBe(3)
    } finally {
      pool.off('acquire', become)
      const reset = (client: { query(sql: string): unknown }) => void client.query('RESET ROLE')
      pool.on('acquire', reset)
      for (let i = 0; i < 10; i++) await Attempt.count()
      pool.off('acquire', reset)
      await rows(`DROP OWNED BY ${lesser}; DROP ROLE ${lesser}`)
    }
    expect(await jobs()).toBe(3)
    await runOnce(settings)
    expect(performed.sort()).toEqual(['1', '2', '3'])
  })
})

describe('bulk operations refuse', () => {
  it.each<[string, () => Promise<number>, string]>([
    [
      'retryAll of a status that cannot be retried',
      () => Attempt.retryAll({ status: 'succeeded' }),
      'Attempt.retryAll: status is ["succeeded"]. It must be one or several of: failed, expired, cancelled',
    ],
    [
      'cancelAll of finished attempts',
      () => Attempt.cancelAll({ status: ['pending', 'failed'] }),
      'one or several of: pending, blocked, running',
    ],
    ['expireAll of running attempts', () => Attempt.expireAll({ status: 'running' }), 'one or several of: pending'],
    ['failAll of running attempts', () => Attempt.failAll({ status: 'running' }), 'one or several of: pending'],
    [
      'rescheduleAll of failed attempts',
      () => Attempt.rescheduleAll({ status: 'failed' }, { to: '1 day' }),
      'Attempt.rescheduleAll: status',
    ],
    [
      'a property that is undefined',
      () => Attempt.cancelAll({ target: undefined } as never),
      'Attempt.cancelAll: target in the filter is undefined',
    ],
    [
      'a column that is undefined',
      () => Attempt.cancelAll({ data: { accountId: undefined } } as never),
      'accountId in the filter is undefined',
    ],
    ['an invalid time', () => Attempt.rescheduleAll({}, { to: new Date(Number.NaN) }), 'to is an invalid Date'],
    ['an invalid duration', () => Attempt.rescheduleAll({}, { to: 'tomorrow' as never }), 'to is "tomorrow"'],
    ['no time', () => Attempt.rescheduleAll({}, {} as never), 'to is undefined'],
    ['no filter', () => (Attempt as never as { cancelAll(): Promise<number> }).cancelAll(), 'the filter is undefined'],
    ['a dryRun that is a text', () => Attempt.cancelAll({}, { dryRun: 'no' } as never), 'dryRun is "no"'],
    ['an unknown option', () => Attempt.cancelAll({}, { dryrun: true } as never), 'has no option "dryrun"'],
    [
      'an unknown option: the time of another operation',
      () => Attempt.cancelAll({}, { to: '1 day' } as never),
      'has no option "to"',
    ],
  ])('%s', async (what, operation, message) => {
    await fill(2, 'pending')
    const error = await operation().catch((thrown) => thrown)
    expect(error).toMatchObject({ code: what.startsWith('an unknown option') ? 'UNKNOWN_OPTION' : 'INVALID_OPTION' })
    expect(error.message).toContain(message)
    expect(await statuses()).toEqual({ pending: 2 })
  })
})

describe('bulk operations beside other work', () => {
  it('cancelAll aborts the signal of a running call', async () => {
    await Attempt.async(Work).untilAborted()
    const runner = await run({ ...settings, concurrency: 1 })
    await held.opened
    expect(await Attempt.cancelAll({ method: 'untilAborted' })).toBe(1)
    await eventually('the abort', async () => aborted.length === 1)
    expect(aborted).toMatchObject([{ code: 'CANCELLED' }])
    await runner.stop()
    expect(await statuses()).toEqual({ cancelled: 1 })
  })

  it('leave out locked rows at first, and change them at the end', async () => {
    await fill(1200, 'failed')
    const other = new pg.Client({ connectionString: url })
    await other.connect()
    await other.query('BEGIN')
    await other.query('SELECT FROM attempts WHERE id % 400 = 0 FOR UPDATE')
    const retried = Attempt.retryAll({})
    await eventually('the others', async () => (await Attempt.count({ status: 'pending' })) === 1197)
    await other.query('COMMIT')
    await other.end()
    expect(await retried).toBe(1200)
    expect(await jobs()).toBe(1200)
  })

  it('fail with ROWS_LOCKED, their number and the first ids if rows stay locked', async () => {
    await fill(9, 'failed')
    const ids = (await Attempt.failed()).map(({ id }) => id).sort((a, b) => Number(a) - Number(b))
    await rows(`ALTER TABLE attempts DISABLE TRIGGER USER`)
    await rows(`UPDATE attempts SET target = 'Other' WHERE id = ANY ($1)`, [ids.slice(3)])
    await rows(`ALTER TABLE attempts ENABLE TRIGGER USER`)
    const other = new pg.Client({ connectionString: url })
    await other.connect()
    await other.query('BEGIN')
    await other.query('SELECT FROM attempts WHERE id = $1 OR id >= $2 FOR UPDATE', [ids[0], ids[3]])
    const [one, many] = await Promise.all(
      [Work, Other].map((target) => Attempt.retryAll({ target }).catch((thrown) => thrown)),
    )
    await other.query('ROLLBACK')
    await other.end()
    for (const error of [one, many]) expect(error).toMatchObject({ code: 'ROWS_LOCKED' })
    expect(one.message).toContain(
      `changed 2 attempts. Other transactions have locked 1 more for 10 seconds: ${ids[0]}. When`,
    )
    expect(many.message).toContain(`have locked 6 more for 10 seconds: ${ids.slice(3, 8).join(', ')} …. When`)
    expect(await Attempt.retryAll({})).toBe(7)
  })

  it('leave alone what changes between the search and its batch, and do not count it', async () => {
    await fill(1500, 'failed')
    const { store } = Attempt
    const { changeBatch } = store
    let batches = 0
    store.changeBatch = async (...args) => {
      if (batches++ === 1) {
        await rows(
          `UPDATE attempts SET status = 'cancelled' WHERE id IN (SELECT id FROM attempts WHERE status = 'failed' ORDER BY id LIMIT 10)`,
        )
        await rows(`UPDATE attempts SET errors = '[]' WHERE id = (SELECT max(id) FROM attempts)`)
        await fill(5, 'failed')
      }
      return await changeBatch.apply(store, args)
    }
    try {
      expect(await Attempt.retryAll({ error: 'ECONNREFUSED' })).toBe(1489)
    } finally {
      store.changeBatch = changeBatch
    }
    expect(await statuses()).toEqual({ pending: 1489, cancelled: 10, failed: 6 })
  })

  it('retryAll of 1,600 attempts ends while a worker runs them, and a quarter fails again', async () => {
    await fill(1600, 'failed')
    await rows(
      `ALTER TABLE attempts DISABLE TRIGGER USER; UPDATE attempts SET method = 'fail' WHERE id % 4 = 0; ALTER TABLE attempts ENABLE TRIGGER USER`,
    )
    const runner = await run({ ...settings, concurrency: 20 })
    expect(await Attempt.retryAll({})).toBe(1600)
    await eventually('the end of all', async () => (await Attempt.count({ status: ['pending', 'running'] })) === 0)
    await runner.stop()
    expect(await statuses()).toEqual({ succeeded: 1200, failed: 400 })
    expect(performed).toHaveLength(1200)
    expect(new Set(performed).size, 'none twice').toBe(1200)
  })

  it('go on when they are called again after a process was killed in the middle', async () => {
    await fill(10_000, 'failed')
    const script = `
      const { Attempt } = await import(${JSON.stringify(bundled('test/chaos/host/attempt.ts'))})
      await Attempt.retryAll({})`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      cwd: REPOSITORY,
      env: childEnv({ DATABASE_URL: url }),
      stdio: 'inherit',
    })
    await eventually('a part', async () => (await Attempt.count({ status: 'pending' })) >= 1000)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await sleep(200)
    const done = await Attempt.count({ status: 'pending' })
    expect(done).toBeLessThan(10_000)
    expect(await jobs(), 'a batch with its jobs, or nothing of it').toBe(done)
    const [order] = await rows(`
      SELECT max(id) FILTER (WHERE status = 'pending') < min(id) FILTER (WHERE status = 'failed') AS "isPrefix" FROM attempts`)
    expect(order).toEqual({ isPrefix: true })
    expect(await Attempt.retryAll({})).toBe(10_000 - done)
    expect(await jobs()).toBe(10_000)
  })
})
