import { describe, expect, it } from 'vitest'
import { prisma } from '../.app/src/db.js'
import { eventually } from '../support/eventually.js'
import { Attempt } from './host/attempt.js'
import { db } from './host/database.js'
import { Slow } from './host/reports/slow.js'
import { Probe } from './host/targets.js'
import { breakfast } from './host/toasts.js'
import { effect, effects, release, sql, worker } from './scene.js'

describe('a worker that is killed while it works', () => {
  it('P17: its attempts, toasts, reports and host jobs run again in another within 10 seconds', async () => {
    const first = await worker()
    await Attempt.async(Probe).hold('attempt')
    await breakfast(await prisma.oat.create({ data: { name: 'Steel cut' } }))
    await (await Slow.create({})).build()
    await sql(`SELECT graphile_worker.add_job('own_job')`)
    const kinds = ['attempt', 'toast', 'report', 'own job']
    for (const kind of kinds) await effect(`${kind} began`, first)

    const second = await worker()
    const killed = Date.now()
    first.kill('SIGKILL')
    const seconds: Record<string, number> = {}
    for (const kind of kinds) {
      const { at } = await effect(`${kind} began`, second)
      seconds[kind] = (at.getTime() - killed) / 1000
    }
    console.log('Seconds from kill -9 until the work ran again (a bare Graphile Worker: 14400):', seconds)
    expect(Math.max(...Object.values(seconds))).toBeLessThan(10)
  }, 180_000)

  it('leaves no job without a key and without remaining tries', async () => {
    const first = await worker()
    const add = `SELECT graphile_worker.add_job('own_job', job_key => 'mine')`
    await sql(add)
    await effect('own job began', first)
    // Added again while it runs: the row that runs loses its key and its attempts, and a second one takes over.
    await sql(add)
    await sql(`SELECT graphile_worker.add_job('own_job', max_attempts => 1)`)
    await eventually('both', async () => (await effects()).length === 3)
    first.kill('SIGKILL')
    await first.exited
    await release()

    await worker()
    await eventually('the end of the job', async () => (await jobs()).length === 1)
    expect(await jobs(), 'the job that had a single try stays, as failed').toMatchObject([
      { attempts: 1, max_attempts: 1 },
    ])
  }, 180_000)

  it('has announced its pool before it took the first job', async () => {
    // A process takes up to a second to store its pool.
    await sql(`
      CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$;
      CREATE TRIGGER take_time BEFORE UPDATE ON async_workers FOR EACH ROW EXECUTE FUNCTION take_time()`)
    try {
      await sql(`SELECT graphile_worker.add_job('own_job')`)
      const starting = worker()
      const [locked] = await eventually('the first job', async () => {
        const rows = await sql(`
          SELECT locked_by IN (SELECT pool_id FROM async_workers) AS known
          FROM graphile_worker.jobs WHERE locked_by IS NOT NULL`)
        return rows.length > 0 ? rows : undefined
      })
      expect(locked).toEqual({ known: true })
      await starting
    } finally {
      await sql('DROP FUNCTION take_time CASCADE')
    }
  }, 180_000)

  it('counts the lost run, and a call that kills its process each time ends as failed', async () => {
    const poison = await Attempt.create({ target: Probe, method: 'poison', maxAttempts: 2 })
    for (const _ of [1, 2]) {
      const victim = await worker()
      await victim.exited
    }
    await worker()
    await eventually('the end of the attempt', async () => (await poison.reload()).status === 'failed')
    expect(poison.numAttempts).toBe(2)
    expect(poison.errors).toMatchObject([{ name: 'WorkerDied' }, { name: 'WorkerDied' }])
  }, 180_000)
})

describe('db.workers()', () => {
  it('C11: lists the workers that are alive, with their tasks', async () => {
    expect(await db.workers()).toEqual([])
    const first = await worker()
    const second = await worker()
    expect(await db.workers()).toEqual(
      [first, second].map(({ pid }) => ({
        id: expect.any(Number),
        host: expect.any(String),
        pid,
        poolId: expect.stringMatching(/^pool-/),
        startedAt: expect.any(Date),
        version: expect.stringMatching(/^\d+\.\d+\.\d+/),
        tasks: ['attempt', 'own_job', 'refresh_report', 'refresh_toast'],
      })),
    )
    expect(await db.workers({ task: 'refresh_toast' })).toHaveLength(2)
    expect(await db.workers({ task: 'another' })).toEqual([])

    second.kill('SIGKILL')
    await second.exited
    await eventually('the death', async () => (await db.workers()).length === 1)
    expect((await db.workers())[0]!.pid).toBe(first.pid)
  }, 180_000)
})

const jobs = () => sql('SELECT key, attempts, max_attempts FROM graphile_worker.jobs')
