import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { BaseAttempt, connect, defineTargets, sweep } from '@async-gen/runtime'
import { Logger } from 'graphile-worker'
import pg from 'pg'
import { afterEach, describe, expect, it } from 'vitest'
import { presenceOf } from '../../runtime/src/presence/presence.js'
import { retentionPeriods } from '../../runtime/src/worker/retention.js'
import { dueMaintenance } from '../../runtime/src/worker/sweep.js'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { query } from '../support/postgres.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

let made = 0
const Baker = {
  bake: async () => {
    made += 1
  },
}

class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Baker }) }) {}

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)

afterEach(async () => {
  made = 0
  await rows('TRUNCATE attempts; DELETE FROM graphile_worker._private_jobs')
})

/** Runs all jobs that are there, as a worker would, and returns what was logged. */
async function drain(): Promise<string[]> {
  const said: string[] = []
  const logger = new Logger(() => (level, message) => void said.push(`${level}: ${message}`))
  await runJobs(url, Attempt, { logger })
  return said
}

describe('a sweep', () => {
  it('P17: releases a claimed run that this process no longer runs, and no running one', async () => {
    const [lost, held] = [await Attempt.async(Baker).bake(), await Attempt.async(Baker).bake()]
    const { id: worker } = await presenceOf(db)
    const { claimed: heldRun } = await Attempt.store.runs.claim(held.id, worker)
    const { claimed: lostRun } = await Attempt.store.runs.claim(lost.id, worker)
    Attempt.store.runs.running.remove(lostRun!.run)
    expect(await Attempt.store.rescue()).toBe(0)

    await rows(`UPDATE attempts SET started_at = now() - interval '2 minutes'`)
    expect(await Attempt.store.rescue()).toBe(1)
    expect(await lost.reload()).toMatchObject({ status: 'pending', numAttempts: 1, errors: [{ name: 'WorkerDied' }] })
    expect((await held.reload()).status).toBe('running')
    Attempt.store.runs.running.remove(heldRun!.run)
  })

  it('A13: keeps the newer run of a row when an older run of this process goes on', async () => {
    const attempt = await Attempt.async(Baker).bake()
    const { id: worker } = await presenceOf(db)
    const { runs } = Attempt.store
    const { run: older } = (await runs.claim(attempt.id, worker)).claimed!
    await rows(`UPDATE attempts SET status = 'pending', locked_by = NULL, num_attempts = 0`)
    const { run: newer } = (await runs.claim(attempt.id, worker)).claimed!
    expect(newer.number).toBe(older.number)

    runs.running.begin(older, { cancel() {} })
    runs.running.remove(older)
    await rows(`UPDATE attempts SET started_at = now() - interval '2 minutes'`)
    expect(await Attempt.store.rescue()).toBe(0)
    runs.running.remove(newer)
    expect(await Attempt.store.rescue()).toBe(1)
  })

  it('A13: leaves alone what another class on the same table is running in this process', async () => {
    class Other extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Baker }) }) {}
    const attempt = await Attempt.async(Baker).bake()
    const { id: worker } = await presenceOf(db)
    const { run } = (await Attempt.store.runs.claim(attempt.id, worker)).claimed!
    await rows(`UPDATE attempts SET started_at = now() - interval '2 minutes'`)
    expect(await Other.store.rescue()).toBe(0)
    Attempt.store.runs.running.remove(run)
  })

  it('A13: throws the error of a missing table after it has swept the others', async () => {
    const early = connect(prisma, { connectionString: url })
    const bind = { targets: defineTargets({ Baker }) }
    BaseAttempt(early, { model: 'LateAttempt', table: 'late_attempts', ...bind })
    const Early = BaseAttempt(early, { model: 'Attempt', table: 'attempts', ...bind })
    await Early.async(Baker).bake()
    await rows('DELETE FROM graphile_worker._private_jobs')

    await expect(sweep(early)).rejects.toThrow('relation "late_attempts" does not exist')
    expect(await rows('SELECT FROM graphile_worker.jobs')).toHaveLength(1)
  })
})

describe('the tasks', () => {
  it('A12: a second job for the same attempt is a no-op, with a debug message', async () => {
    const { id } = await Attempt.async(Baker).bake()
    await rows(`SELECT graphile_worker.add_job('attempt', json_build_object('id', $1::text))`, [`${id}`])
    const said = await drain()
    expect(made).toBe(1)
    expect(said).toContainEqual(`debug: attempt ${id} is not pending, not due or paused: nothing to do`)
    expect(await rows('SELECT key, attempts, last_error, locked_at FROM graphile_worker.jobs')).toEqual([])
  })

  it('A13: attempt_batch adds a job for every due attempt that has none', async () => {
    const attempts = await Promise.all([1, 2, 3].map(() => Attempt.async(Baker).bake()))
    await Attempt.schedule(new Date(Date.now() + 3_600_000), Baker).bake()
    await rows('DELETE FROM graphile_worker._private_jobs WHERE key <> $1', [`attempt:${attempts[0]!.id}`])
    expect(await Attempt.store.enqueueDue()).toBe(2)
    expect(await Attempt.store.enqueueDue()).toBe(0)
    expect(await rows('SELECT count(*)::int AS jobs FROM graphile_worker.jobs')).toEqual([{ jobs: 3 }])
    await rows('DELETE FROM graphile_worker._private_jobs')

    await rows(`SELECT graphile_worker.add_job('attempt_batch')`)
    await drain()
    expect(made).toBe(3)
  })

  it('A13: attempt_batch replaces a job that has failed for good, with the same priority', async () => {
    await Attempt.async(Baker, { priority: 7 }).bake()
    await rows('UPDATE graphile_worker._private_jobs SET attempts = max_attempts')
    expect(await Attempt.store.enqueueDue()).toBe(1)
    expect(await rows('SELECT attempts, priority FROM graphile_worker.jobs WHERE key IS NOT NULL')).toEqual([
      { attempts: 0, priority: -7 },
    ])
  })
})

describe('of thousands of rows', () => {
  const lose = (count: number) =>
    rows(`
      INSERT INTO attempts (target, method, scheduled_at)
      SELECT 'Baker', 'bake', now() - least(number, 2) * interval '1 minute' FROM generate_series(1, ${count}) AS number;
      DELETE FROM graphile_worker._private_jobs`)

  it('A13: each gets a job, the oldest due first; one sweep checks a limited number', async () => {
    await lose(1500)
    const [last] = await rows('SELECT min(id) AS id FROM attempts')
    expect(await Attempt.store.enqueueDue(undefined, 1)).toBe(1000)
    expect(await rows('SELECT FROM graphile_worker.jobs WHERE key = $1', [`attempt:${last.id}`])).toEqual([])
    expect(await Attempt.store.enqueueDue()).toBe(500)
    expect(await rows('SELECT count(DISTINCT key)::int AS keys FROM graphile_worker.jobs')).toEqual([{ keys: 1500 }])
  })

  it('P17: all are released from dead workers', async () => {
    await lose(1500)
    await rows(`UPDATE attempts SET status = 'running', locked_by = 0, num_attempts = 1, started_at = now()`)
    expect((await sweep(db)).rescued).toBe(1500)
    expect(await rows('SELECT status::text, count(*)::int FROM attempts GROUP BY status')).toEqual([
      { status: 'pending', count: 1500 },
    ])
  })
})

describe('the sweep', () => {
  it('is done by one process at a time', async () => {
    await Attempt.async(Baker).bake()
    await rows('DELETE FROM graphile_worker._private_jobs')
    const swept = await Promise.all([sweep(db), sweep(db), sweep(db)])
    expect(swept.reduce((sum, { enqueued }) => sum + enqueued, 0)).toBe(1)
  })

  const attempt = (columns: Record<string, string>) => {
    const values = { target: `'Baker'`, method: `'bake'`, scheduled_at: `now() + interval '1 hour'`, ...columns }
    return `INSERT INTO attempts (${Object.keys(values)}) VALUES (${Object.values(values)})`
  }
  const past = `now() - interval '1 minute'`
  const later = `now() + interval '1 minute'`
  const batch = (finishedAt: string) =>
    `INSERT INTO async_batches (model, finished_at) VALUES ('Attempt', ${finishedAt})`

  it.each([
    ['a call runs', attempt({ status: `'running'` })],
    ['a call is due', attempt({ scheduled_at: past })],
    ['a call for later has expired', attempt({ expires_at: past })],
    ['a call waits for others', attempt({ status: `'blocked'` })],
    ['a batch has not finished', batch('NULL')],
  ])('is done by workers while %s', async (_, insert) => {
    await rows(insert)
    expect(await dueMaintenance(db)).toMatchObject({ sweep: true })
    await rows('TRUNCATE attempts, async_batches')
    expect(await dueMaintenance(db)).toMatchObject({ sweep: false })
  })

  it('is not done by workers for calls that are not due yet, nor for those that have ended', async () => {
    await rows(attempt({ expires_at: later }))
    for (const status of ['succeeded', 'failed', 'expired', 'cancelled'])
      await rows(
        attempt({ status: `'${status}'`, scheduled_at: past, expires_at: past, started_at: past, completed_at: past }),
      )
    await rows(batch('now()'))
    expect(await dueMaintenance(db)).toMatchObject({ sweep: false })
    await rows('TRUNCATE attempts, async_batches')
  })
})

describe('P21: retention', () => {
  const kept = async () => (await rows('SELECT status::text FROM attempts ORDER BY id')).map(({ status }) => status)
  const insert = (status: string, age: string, count = 1) =>
    rows(
      `INSERT INTO attempts (target, method, status, scheduled_at, completed_at)
      SELECT 'Baker', 'bake', $1::attempt_status, now() + interval '1 hour', CASE WHEN $1 <> 'pending' THEN now() - $2::interval END
      FROM generate_series(1, $3)`,
      [status, age, count],
    )

  it('deletes succeeded attempts after 7 days, other ended ones after 30, and no others', async () => {
    for (const status of ['succeeded', 'failed', 'expired', 'cancelled', 'pending']) {
      for (const age of ['6 days', '8 days', '31 days']) await insert(status, age)
    }
    expect(await Attempt.store.prune(retentionPeriods({}))).toBe(5)
    expect(await kept()).toEqual([
      'succeeded',
      ...['failed', 'failed', 'expired', 'expired', 'cancelled', 'cancelled'],
      ...['pending', 'pending', 'pending'],
    ])
  })

  it('uses the given periods, or keeps attempts for ever', async () => {
    await insert('succeeded', '100 days')
    await insert('failed', '100 days')
    expect(await Attempt.store.prune(retentionPeriods({ succeeded: false, ended: '1 year' }))).toBe(0)
    expect(await Attempt.store.prune(retentionPeriods({ succeeded: '99 days', ended: false }))).toBe(1)
    expect(await kept()).toEqual(['failed'])
  })

  it('is shared by several workers in batches', async () => {
    await insert('succeeded', '8 days', 25_000)
    const deleted = await Promise.all([
      Attempt.store.prune(retentionPeriods({})),
      Attempt.store.prune(retentionPeriods({})),
    ])
    expect(deleted[0]! + deleted[1]!).toBe(25_000)
    expect(await kept()).toEqual([])
  })

  it('does not wait for locked rows', async () => {
    await insert('succeeded', '8 days', 3)
    const holder = new pg.Client({ connectionString: url })
    await holder.connect()
    await holder.query('BEGIN')
    await holder.query('SELECT FROM attempts ORDER BY id LIMIT 1 FOR UPDATE')
    try {
      expect(await Promise.race([Attempt.store.prune(retentionPeriods({})), sleep(60_000, 'waited')])).toBe(2)
    } finally {
      await holder.end()
    }
  })

  it('keeps the latest errors of an attempt that keeps failing', async () => {
    await rows(
      `INSERT INTO attempts (target, method, num_attempts, max_attempts, scheduled_at, errors)
      SELECT 'Baker', 'bake', 40, 100, now() + interval '1 hour', jsonb_agg(jsonb_build_object('number', n))
      FROM generate_series(1, 40) AS n`,
    )
    await Attempt.store.prune(retentionPeriods({}))
    const [attempt] = await prisma.attempt.findMany()
    const errors = attempt!.errors as { number: number }[]
    expect(errors.map(({ number }) => number)).toEqual(Array.from({ length: 25 }, (_, i) => 16 + i))
  })
})

describe('docs/operating.md', () => {
  it('has valid SQL statements, which retry failed attempts', async () => {
    await prisma.attempt.create({
      data: { target: 'OrderClient', method: 'fulfill', status: 'failed', completedAt: new Date() },
    })
    const guide = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8')
    const blocks = [...guide.matchAll(/```sql\n([^`]+)```/g)].map(([, sql]) => sql!)
    expect(blocks.length).toBeGreaterThanOrEqual(2)
    for (const sql of blocks) await rows(sql)
    expect(await rows('SELECT status::text, max_attempts FROM attempts')).toEqual([
      { status: 'pending', max_attempts: 25 },
    ])
    expect(await rows('SELECT FROM graphile_worker.jobs')).toHaveLength(1)
  })

  it('has a valid statement that releases the work of a worker', async () => {
    const { id, lost } = await presenceOf(db)
    const guide = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8')
    const [terminate] = /SELECT pg_terminate_backend[^;]*/.exec(guide)!
    await rows(terminate.replace('42', `${id}`))
    await eventually('the loss', async () => lost.aborted)
  })
})
