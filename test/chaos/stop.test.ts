import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { Attempt } from './host/attempt.js'
import { db } from './host/database.js'
import { Probe } from './host/targets.js'
import { effect, effects, release, sql, worker } from './scene.js'

describe('a worker that gets a stop signal', () => {
  it('P16: takes no more jobs, finishes the running ones, and ends with 0', async () => {
    const stopping = await worker()
    const first = await Attempt.async(Probe).hold('first')
    await effect('first began')
    stopping.kill('SIGTERM')
    await eventually('the signal', async () => stopping.log().includes('Stopping: '))
    // A fetch that has begun may still get a job.
    await sleep(500)
    const second = await Attempt.async(Probe).hold('second')
    await release()
    expect(await stopping.exited, stopping.log()).toBe(0)
    expect(await first.reload()).toMatchObject({ status: 'succeeded', numAttempts: 1 })
    expect(await second.reload()).toMatchObject({ status: 'pending', numAttempts: 0 })
    expect(await db.workers()).toEqual([])
  })

  it('takes no more jobs with `once` either', async () => {
    const first = await Attempt.async(Probe).hold('first')
    const second = await Attempt.async(Probe).hold('second')
    const stopping = await worker({ ASYNC_WORKER_ONCE: '1', ASYNC_WORKER_CONCURRENCY: '1' }, { visible: false })
    await effect('first began')
    stopping.kill('SIGTERM')
    await eventually('the signal', async () => stopping.log().includes('Stopping: '))
    await release()
    expect(await stopping.exited, stopping.log()).toBe(0)
    expect(await first.reload()).toMatchObject({ status: 'succeeded', numAttempts: 1 })
    expect(await second.reload()).toMatchObject({ status: 'pending', numAttempts: 0 })
  })

  it('aborts jobs after `stopTimeout`, which then run again at once', async () => {
    const stopping = await worker({ ASYNC_WORKER_STOP_TIMEOUT: '500ms' })
    const attempt = await Attempt.async(Probe).heed('long')
    await effect('long began')
    stopping.kill('SIGTERM')
    expect(await stopping.exited, stopping.log()).toBe(0)

    await attempt.reload()
    expect(attempt).toMatchObject({ status: 'pending', errors: [{ name: 'AbortError' }] })
    expect(attempt.scheduledAt.getTime()).toBeLessThanOrEqual(Date.now())
  })

  it('releases jobs that ignore the abort at once, and ends with 1', async () => {
    const stopping = await worker({ ASYNC_WORKER_STOP_TIMEOUT: '500ms' })
    const attempt = await Attempt.async(Probe).hold('stubborn')
    await sql(`SELECT graphile_worker.add_job('own_job')`)
    await effect('stubborn began')
    await effect('own job began')
    stopping.kill('SIGTERM')
    expect(await stopping.exited, stopping.log()).toBe(1)

    expect(await attempt.reload()).toMatchObject({ status: 'pending', errors: [{ name: 'WorkerDied' }] })
    expect(await sql('SELECT FROM graphile_worker.jobs WHERE locked_by IS NOT NULL')).toEqual([])
    const next = await worker()
    await effect('stubborn began', next)
    await effect('own job began', next)
  })

  it('aborts its jobs at the second signal', async () => {
    const stopping = await worker({ ASYNC_WORKER_STOP_TIMEOUT: '1 hour' })
    const attempt = await Attempt.async(Probe).heed('long')
    await Attempt.async(Probe).hold('stubborn')
    await effect('long began')
    await effect('stubborn began')
    stopping.kill('SIGTERM')
    await eventually('the signal', async () => stopping.log().includes('Stopping: '))
    await sleep(700) // two signals in a row count as one: both npm and the terminal pass a Ctrl-C on
    stopping.kill('SIGTERM')
    await stopping.exited
    expect(await attempt.reload()).toMatchObject({ status: 'pending', errors: [{ name: 'AbortError' }] })
  })
})

describe('a worker that gets two signals at once', () => {
  it('counts them as one', async () => {
    const stopping = await worker()
    const attempt = await Attempt.async(Probe).heed('call')
    await effect('call began')
    stopping.kill('SIGINT')
    await sleep(50)
    stopping.kill('SIGINT')
    await sleep(1000)
    await release()
    expect(await stopping.exited).toBe(0)
    expect(await attempt.reload()).toMatchObject({ status: 'succeeded', errors: [] })
  })
})

describe('a worker that loses its session', () => {
  it('aborts its running jobs, gets another id, and continues', async () => {
    const cut = await worker()
    const [before] = await db.workers()
    const attempt = await Attempt.async(Probe).heed('call')
    await effect('call began')
    await sql(
      // Workers of other databases have the same ids.
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE application_name = 'async-gen presence' AND datname = current_database()
         AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $1)`,
      [before!.id],
    )

    const after = await eventually('the return', async () => (await db.workers()).find(({ id }) => id !== before!.id))
    expect(after.pid).toBe(cut.pid)
    expect(after.poolId).not.toBe(before!.poolId)
    await eventually(
      'the second run',
      async () => (await effects()).filter(({ what }) => what === 'call began').length === 2,
    )
    await release()
    await eventually('the end', async () => (await attempt.reload()).status === 'succeeded')
    expect(attempt.errors, cut.log()).toMatchObject([{ name: 'AbortError' }])
    expect(await cut.stop()).toBe(0)
  })
})
