import { setTimeout as sleep } from 'node:timers/promises'
import { sweep } from '@async-gen/runtime'
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { REPOSITORY } from '../support/host.js'
import { bundled } from '../support/programs.js'
import { runJobs } from '../support/work.js'
import { startWorker } from '../support/worker.js'
import { Attempt } from './host/attempt.js'
import { db } from './host/database.js'
import { Probe } from './host/targets.js'
import { effect, effects, release, sql, url, worker } from './scene.js'

const statuses = async () => {
  const rows = await sql('SELECT status::text, count(*)::int FROM attempts GROUP BY 1')
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]))
}
const names = async () => (await effects()).map(({ what }) => what)
const record = (count: number, what: string) =>
  Attempt.createMany(
    Array.from({ length: count }, (_, i) => ({
      target: Probe,
      method: 'plain' as const,
      args: [`${what} ${i}`] as [string],
    })),
  )

describe('a pause', () => {
  it('stops two workers in the middle of their work; afterwards each call runs exactly once', async () => {
    const workers = [await worker({ ASYNC_WORKER_CONCURRENCY: '2' }), await worker({ ASYNC_WORKER_CONCURRENCY: '2' })]
    await Attempt.async(Probe).hold('running')
    await effect('running began')
    await record(1200, 'call')
    await effect('call 20')
    await Attempt.pause(Probe, { reason: 'deploy' })

    // Claims that began before the pause may still start their runs.
    await sleep(500)
    await eventually('the end of these runs', async () => (await statuses()).running === 1)
    const before = await statuses()
    expect(before.pending).toBeGreaterThan(0)
    await sleep(4000)
    expect(await statuses()).toEqual(before)
    for (const each of workers) expect(each.log()).toContain('Probe (Attempt) has been paused since')

    // A run goes on to its end.
    expect(before.running).toBe(1)
    await release()
    await effect('running ended')

    await Attempt.resume(Probe)
    // On a busy machine all of them take minutes.
    for (const part of [400, 800, 1201])
      await eventually(`${part} calls`, async () => (await statuses()).succeeded! >= part)
    const done = (await names()).filter((what) => what.startsWith('call'))
    expect([done.length, new Set(done).size]).toEqual([1200, 1200])
    await eventually('the log', async () =>
      workers.every((each) => each.log().includes('The pause of Probe (Attempt) has ended.')),
    )
  }, 600_000)

  it('survives the death of all workers, and ends by itself after `until`, the highest priority first', async () => {
    await Attempt.pause(Probe)
    const first = await worker()
    await Attempt.async(Probe).plain('low')
    await Attempt.async(Probe, { priority: 50 }).plain('high')
    await eventually('the end of their jobs', async () => (await sql('SELECT FROM graphile_worker.jobs')).length === 0)
    first.kill('SIGKILL')
    await first.exited
    await worker({ ASYNC_WORKER_CONCURRENCY: '1' })
    await sleep(4000)
    expect(await names()).toEqual([])

    await Attempt.pause(Probe, { until: '1s' })
    await effect('low')
    expect(await names()).toEqual(['high', 'low'])
    await eventually('the end of the pause', async () => (await sql('SELECT FROM async_pauses')).length === 0)
  })

  // The first statement reads the pauses, the second ends this one.
  it.each([2, 3, 4, 5, 6, 7])('ends although the process that resumes is killed after statement %i', async (step) => {
    await Attempt.pause(Probe)
    await record(20, 'call')
    await runJobs(url, Attempt)
    expect(await statuses()).toEqual({ pending: 20 })
    expect(await sql('SELECT FROM graphile_worker.jobs')).toEqual([])

    const resuming = startWorker(
      REPOSITORY,
      { DATABASE_URL: url, DIE_AFTER: String(step) },
      bundled('test/chaos/host/dying-resume.ts'),
    )
    expect(await resuming.exited, resuming.log()).toBe(null)
    expect(await Attempt.pauses()).toEqual([])
    // What a worker does every three seconds.
    await sweep(db)
    await runJobs(url, Attempt)
    expect(await statuses()).toEqual({ succeeded: 20 })
    expect(await sql('SELECT FROM async_pauses')).toEqual([])
  })
})
