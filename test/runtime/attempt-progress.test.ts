import { setTimeout as sleep } from 'node:timers/promises'
import { AesGcmEncryptor, BaseAttempt, defineTargets } from '@async-gen/runtime'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

let proceed = () => {}
const gate = () =>
  new Promise<void>((resolve) => {
    proceed = resolve
  })
let late: () => void

const Import = {
  pages: async (count: number) => {
    const { progress } = Attempt.current()
    for (let page = 1; page <= count; page++) {
      progress(page / count, `page ${page} of ${count}`)
      await sleep(5)
    }
  },
  half: async () => {
    const { progress } = Attempt.current()
    progress(0.5, 'half')
    await gate()
  },
  all: async () => {
    const { progress } = Attempt.current()
    progress(0.5)
    await gate()
    progress(1)
  },
  report: async (done: number, message?: string) => {
    Attempt.current().progress(done, message)
  },
  failAt: async (done: number) => {
    Attempt.current().progress(done)
    throw new Error('no answer')
  },
  again: async () => {},
  inTransaction: async () => {
    const { progress, tx, attempt } = Attempt.current()
    const client = await tx()
    await client.attempt.update({ where: { id: attempt.id }, data: { priority: 30 } })
    progress(0.3, 'locked')
  },
  serializable: async () => {
    const { progress, tx } = Attempt.current()
    tries++
    await (await tx()).order.count()
    progress(0.3, `try ${tries}`)
    await sleep(50)
  },
  keep: async () => {
    const { progress } = Attempt.current()
    late = () => progress(1)
  },
}
let tries = 0

class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets({ Import }),
  encryptors: [new AesGcmEncryptor({ first: Buffer.alloc(32, 7).toString('base64') })],
}) {}
const encryptor = new AesGcmEncryptor({ first: Buffer.alloc(32, 7).toString('base64') })

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)

beforeAll(async () => {
  // Counts how often the column is written.
  await rows(`
    CREATE TABLE writes (done float8, at timestamptz DEFAULT clock_timestamp());
    CREATE FUNCTION note_progress() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO writes VALUES (NEW.progress); RETURN NULL; END $$;
    CREATE TRIGGER note_progress AFTER UPDATE ON attempts FOR EACH ROW
      WHEN (NEW.progress IS DISTINCT FROM OLD.progress) EXECUTE FUNCTION note_progress()`)
})
afterEach(async () => {
  tries = 0
  await rows('TRUNCATE attempts, "Order", writes, graphile_worker._private_jobs CASCADE')
})
afterAll(() => db.close())

describe('progress of a call', () => {
  it('is in the row, in attempt.progress and in wait({ onProgress }) while the call runs', async () => {
    const attempt = await Attempt.async(Import).half()
    const seen: unknown[] = []
    const reader = (await Attempt.find(attempt.id))!
    const waiting = reader.wait({ onProgress: (...report) => seen.push(report) })
    const performing = attempt.perform()
    await eventually('a report', async () => seen.length === 1)
    expect(seen).toEqual([[0.5, 'half']])
    expect(reader).toMatchObject({ status: 'running', progress: 0.5, progressMessage: 'half' })
    expect(reader.toJSON()).toMatchObject({ progress: 0.5, progressMessage: 'half' })
    expect(await rows('SELECT progress, progress_message FROM attempts')).toEqual([
      { progress: 0.5, progress_message: 'half' },
    ])
    proceed()
    await Promise.all([performing, waiting])
    expect(seen).toHaveLength(1)
  })

  it('is written at most twice a second, and the last report is not lost', async () => {
    const attempt = await Attempt.async(Import).pages(250)
    const started = performance.now()
    await attempt.perform()
    const seconds = (performance.now() - started) / 1000
    const writes = await rows('SELECT done FROM writes ORDER BY at')
    expect(writes.length).toBeGreaterThanOrEqual(3)
    expect(writes.length).toBeLessThanOrEqual(2 * seconds + 2)
    expect(writes.at(-1)).toEqual({ done: 1 })
    expect(await attempt.reload()).toMatchObject({ progress: 1, progressMessage: 'page 250 of 250' })
  })

  it('is empty when a run begins', async () => {
    const attempt = await Attempt.async(Import).failAt(0.7)
    await attempt.perform()
    expect(attempt.progress).toBe(0.7)
    await rows(`UPDATE attempts SET scheduled_at = now()`)
    await db.query({ name: 'hand', text: `UPDATE attempts SET progress_message = 'old'` }, [])
    await (await Attempt.find(attempt.id))!.perform()
    expect((await attempt.reload()).progressMessage).toBeNull()

    const silent = await Attempt.async(Import).again()
    await rows(`UPDATE attempts SET progress = 0.7, progress_message = 'old' WHERE id = $1`, [silent.id])
    await silent.perform()
    expect(await silent.reload()).toMatchObject({ status: 'succeeded', progress: null, progressMessage: null })
  })

  it.each([
    [1.5, 1],
    [-3, 0],
    [Number.POSITIVE_INFINITY, 1],
  ])('%f is stored as %f', async (done, stored) => {
    const attempt = await Attempt.async(Import).report(done)
    await attempt.perform()
    expect(await attempt.reload()).toMatchObject({ status: 'succeeded', progress: stored, progressMessage: null })
  })

  it('cuts long texts, and drops characters that PostgreSQL cannot store', async () => {
    const attempt = await Attempt.async(Import).report(0.1, `\0${'ä'.repeat(5000)}`)
    await attempt.perform()
    expect((await attempt.reload()).progressMessage).toBe('ä'.repeat(1000))
  })

  it('is left out if it is NaN, as for a list without elements', async () => {
    const attempt = await Attempt.async(Import).report(0 / 0)
    await attempt.perform()
    expect(await attempt.reload()).toMatchObject({ status: 'succeeded', progress: null })
  })

  it('fails the call if it is no number', async () => {
    const attempt = await Attempt.async(Import, { maxAttempts: 1 }).report('half' as never)
    await attempt.perform()
    expect(attempt.errors).toMatchObject([
      { code: 'INVALID_OPTION', message: 'progress is half. It must be a number from 0 to 1.' },
    ])
  })

  it('cannot be reported after the call has ended', async () => {
    await (await Attempt.async(Import).keep()).perform()
    expect(late).toThrow(expect.objectContaining({ code: 'CALL_ENDED' }))
  })

  it('is skipped, and blocks nothing, where the transaction of the call has locked the row', async () => {
    const attempt = await Attempt.async(Import).inTransaction()
    await attempt.perform()
    expect(await attempt.reload()).toMatchObject({ status: 'succeeded', priority: 30, progress: null })
  })

  it('is skipped at once where another transaction has locked the row', async () => {
    const worker = 2_000_000_000
    const { id } = await Attempt.async(Import).again()
    await rows(`UPDATE attempts SET status = 'running', num_attempts = 1, locked_by = $1`, [worker])
    await db.prisma.$transaction(async (tx) => {
      await tx.$executeRaw`SELECT FROM attempts FOR UPDATE`
      await Attempt.store.runs.storeProgress({ id, number: 1, worker, batchId: null }, 0.3, null)
    })
    expect((await Attempt.find(id))?.progress).toBeNull()
  })

  it.each([
    ['the next run', 'num_attempts = 2, locked_by = 2000000000', { status: 'running', numAttempts: 2 }],
    ['a run of another worker with the same number', 'locked_by = 2000000000', { status: 'running', numAttempts: 1 }],
    ['an attempt that SQL has cancelled', `status = 'cancelled'`, { status: 'cancelled', numAttempts: 1 }],
  ])('of a superseded run is not stored in the row of %s', async (_, change, row) => {
    const attempt = await Attempt.async(Import).all()
    const first = Attempt.perform(attempt.id)
    await eventually('the first report', async () => (await attempt.reload()).progress === 0.5)
    await rows(`UPDATE attempts SET ${change}`)
    proceed()
    await first
    expect(await attempt.reload()).toMatchObject({ ...row, progress: 0.5 })
  })

  it('costs a serializable call one more try, and no run', async () => {
    const name = new URL(url).pathname.slice(1)
    await rows(`ALTER DATABASE "${name}" SET default_transaction_isolation = 'serializable'`)
    await db.disconnectPrisma()
    const attempt = await Attempt.async(Import).serializable()
    await attempt.perform()
    await rows(`ALTER DATABASE "${name}" RESET default_transaction_isolation`)
    await db.disconnectPrisma()
    expect(attempt).toMatchObject({ status: 'succeeded', numAttempts: 1, errors: [] })
    expect(tries).toBe(2)
  })

  it('has an encrypted text if the row is encrypted', async () => {
    const attempt = await Attempt.async(Import, { encryptor }).report(0.2, 'customer Ada')
    await attempt.perform()
    const [row] = await rows('SELECT progress_message FROM attempts')
    expect(row!.progress_message).not.toContain('Ada')
    expect((await attempt.reload()).progressMessage).toBe('customer Ada')
    expect(attempt.toJSON()).not.toHaveProperty('progressMessage')
  })
})
