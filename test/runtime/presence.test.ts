import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '@async-gen/runtime'
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { presenceOf, releasePresence } from '../../runtime/src/presence/presence.js'
import { instrumentsItself } from '../../runtime/src/telemetry/instrument.js'
import { watchTasks } from '../../runtime/src/worker/tasks.js'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { prisma } = await import('../.app/src/db.js')
const database = () => connect(prisma, { connectionString: url })

describe('the presence of a process', () => {
  it('lasts from the first use to its release, and does not make it a worker', async () => {
    const db = database()
    const { id } = await presenceOf(db)
    expect((await presenceOf(db)).id).toBe(id)
    expect(await query(url, 'SELECT id, pid, pool_id FROM async_workers')).toEqual([
      { id, pid: process.pid, pool_id: null },
    ])
    expect(await db.workers()).toEqual([])
    await releasePresence(db)
    expect(await query(url, 'SELECT FROM async_workers')).toEqual([])
    await db.close()
  })

  it('without migrations fails with an error that says what to do', async () => {
    await query(url, 'ALTER TABLE async_workers RENAME TO elsewhere')
    const db = database()
    await expect(presenceOf(db)).rejects.toMatchObject({
      code: 'NOT_MIGRATED',
      message: expect.stringContaining('npx prisma migrate deploy'),
    })
    await query(url, 'ALTER TABLE elsewhere RENAME TO async_workers')
    await presenceOf(db)
    await releasePresence(db)
    await db.close()
  })

  it('is lost when its session stops answering, and acquired again at the next use', async () => {
    const db = database()
    // Before PostgreSQL 17, the server does not know all of our settings.
    await db.negotiateSettings()
    const open = db.openSession.bind(db)
    const session = open()
    db.openSession = () => session
    const { id, lost } = await presenceOf(db)
    session.query = (() => new Promise(() => {})) as never
    await eventually('the loss', async () => lost.aborted)
    expect(lost.reason).toMatchObject({ code: 'SESSION_LOST' })
    await eventually('the end of its lock', async () => !(await livingLocks()).includes(id))

    db.openSession = open
    expect((await presenceOf(db)).id).toBeGreaterThan(id)
    await releasePresence(db)
    await db.close()
  })

  it('is acquired again if PostgreSQL ends its session while it is being acquired', async () => {
    const db = database()
    const { id, lost } = await presenceOf(db)
    const endSessions = () =>
      query(
        url,
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'async-gen presence'`,
      )
    await endSessions()
    await eventually('the loss', async () => lost.aborted)

    const openSession = db.openSession.bind(db)
    const session = openSession()
    const send = session.query.bind(session)
    // It has its lock, and ends the sessions of the presence before.
    session.query = (async (text: string, values: unknown[]) => {
      if (text.includes('pg_terminate_backend')) {
        // `once` of node:events would reject at the error that comes before.
        const ended = new Promise<void>((resolve) => session.once('end', resolve))
        await endSessions()
        await ended
      }
      return await send(text, values)
    }) as never
    db.openSession = () => session
    const second = await presenceOf(db)
    expect([second.id > id, second.lost.aborted]).toEqual([true, true])

    db.openSession = openSession
    const third = await presenceOf(db)
    expect([third.id > second.id, third.lost.aborted]).toEqual([true, false])
    await releasePresence(db)
    await db.close()
  })

  it('of a hung process is ended by the server, although its kernel answers', async () => {
    const db = database()
    await db.negotiateSettings()
    const session = db.openSession()
    const query = session.query.bind(session)
    // Five minutes, in a second and a half; and what hangs does not ask.
    session.query = ((text: string, values: unknown[]) =>
      text === 'SELECT 1' ? new Promise(() => {}) : query(text.replace('= 300000', '= 1500'), values)) as never
    db.openSession = () => session
    const { id, lost } = await presenceOf(db)
    await eventually('the loss', async () => lost.aborted)
    await eventually('the end of its lock', async () => !(await livingLocks()).includes(id))
    await db.close()
  })

  it('survives if the process is too busy to send pings for longer than the timeout', async () => {
    const db = database()
    const { lost } = await presenceOf(db)
    await sleep(1200) // the first question has been asked
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 7000)
    await sleep(1500)
    expect(lost.aborted).toBe(false)
    await releasePresence(db)
    await db.close()
  })

  it('behind a pooler in transaction mode fails with an error that says what to do', async () => {
    const db = database()
    db.openSession = () => new Pooled({ connectionString: url })
    await expect(presenceOf(db)).rejects.toMatchObject({
      code: 'NO_SESSION',
      message: expect.stringContaining('PgBouncer'),
    })
    await db.close()
  })
})

/** What a pooler in transaction mode looks like: now this session answers, now that one. */
class Pooled extends pg.Client {
  readonly #other = new pg.Client({ connectionString: url })
  #turn = 0

  // biome-ignore lint/suspicious/noExplicitAny: as overloaded as pg's own
  override async connect(): Promise<any> {
    await this.#other.connect()
    await super.connect()
  }

  // biome-ignore lint/suspicious/noExplicitAny: as overloaded as pg's own
  override query(...parameters: any[]): any {
    const other = this.#turn++ % 2 === 1 ? this.#other : undefined
    return other ? other.query(...(parameters as [string])) : super.query(...(parameters as [string]))
  }

  override async end(): Promise<void> {
    await this.#other.end()
    await super.end()
  }
}

/** Of this database: workers of other tests have the same ids in theirs. */
async function livingLocks(): Promise<number[]> {
  const rows = await query(
    url,
    `SELECT objid::int AS id FROM pg_locks
     WHERE locktype = 'advisory' AND objsubid = 2
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  )
  return rows.map(({ id }) => id)
}

describe('the tasks of a worker that has lost its presence', () => {
  it('begin no run of an attempt, which would count, but jobs of the host', async () => {
    const begun: string[] = []
    const task = (name: string) => async () => void begun.push(name)
    const tasks = { attempt: instrumentsItself(task('attempt')), own_job: task('own job') }
    const watched = watchTasks(tasks, [], AbortSignal.abort(new Error('The session is lost')))
    const helpers = { job: { id: '1', attempts: 1, max_attempts: 1 } } as never
    await expect(watched.attempt!({}, helpers)).rejects.toThrow('The session is lost')
    await watched.own_job!({}, helpers)
    expect(begun).toEqual(['own job'])
  })
})
