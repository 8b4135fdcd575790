import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import type { WorkerProcess } from '../support/worker.js'
import { Attempt } from './host/attempt.js'
import { Probe } from './host/targets.js'
import { effects, sql, worker } from './scene.js'

/** Has a worker die at a step of the attempt's run, another one take over, and returns how often the effect happened. */
async function timesWhenKilledAt(step: string, attempt: Attempt, effect: string) {
  const dying = await worker({ DIE_AT: step }, { file: 'dying-worker.ts', visible: false })
  await dying.exited
  await worker()
  await eventually('the end of the attempt', async () => (await attempt.reload()).isFinished)
  expect(attempt.status).toBe('succeeded')
  const times = (await effects()).filter(({ what }) => what === effect).length
  return { runs: attempt.numAttempts, times }
}

describe('a worker that is killed during a run', () => {
  it.each([
    ['claimed', 2],
    ['called', 2],
    ['stored', 2],
    ['committed', 1],
  ])('A9: after the step "%s": the writes of the call through its transaction exist once', async (step, runs) => {
    const attempt = await Attempt.async(Probe).once('written', 0)
    expect(await timesWhenKilledAt(step, attempt, 'written')).toEqual({ runs, times: 1 })
  })

  it.each([
    ['claimed', 2, 1],
    ['called', 2, 2],
    ['committed', 1, 1],
  ])('A8: after the step "%s": the other effects of the call happened at least once', async (step, runs, times) => {
    const attempt = await Attempt.async(Probe).plain('done')
    expect(await timesWhenKilledAt(step, attempt, 'done')).toEqual({ runs, times })
  })
})

describe('a worker that is killed while a run ends otherwise', () => {
  it.each([
    ['claimed', 2],
    ['called', 2],
    ['stored', 2],
    ['committed', 1],
  ])('after the step "%s" of a snooze: its transaction and the snooze exist once', async (step, runs) => {
    const attempt = await Attempt.async(Probe).snoozeOnce('polled')
    expect(await timesWhenKilledAt(step, attempt, 'polled snoozed')).toEqual({ runs, times: 1 })
    expect(attempt).toMatchObject({ snoozes: 1, result: 'polled' })
  })

  it.each([
    ['called', 2, 2],
    ['committed', 1, 1],
  ])('after the step "%s" of a snooze without a transaction', async (step, runs, times) => {
    const attempt = await Attempt.async(Probe).snoozePlain('polled')
    expect(await timesWhenKilledAt(step, attempt, 'polled snoozed')).toEqual({ runs, times })
    expect(attempt.snoozes).toBe(1)
  })

  it.each(['failing', 'failed'])('after the step "%s" of a run whose time limit is over', async (step) => {
    // Long enough for the second run on a busy machine.
    const attempt = await Attempt.async(Probe, { timeout: '10 seconds' }).deafOnce('written')
    expect(await timesWhenKilledAt(step, attempt, 'written')).toEqual({ runs: 2, times: 1 })
    const name = step === 'failing' ? 'WorkerDied' : 'TimeoutError'
    expect(attempt.errors).toMatchObject([{ number: 1, name }])
  })
})

describe('a worker whose call ignores its signal', () => {
  it('gives the slot free, logs and counts the call while it lingers, and stops in spite of it', async () => {
    const lingering = await Attempt.async(Probe, { timeout: '300ms', maxAttempts: 1 }).hold('for ever')
    const process = await worker({ ASYNC_WORKER_CONCURRENCY: '1' })
    await eventually('its end', async () => (await lingering.reload()).isFailed)
    const next = await Attempt.async(Probe).plain('next')
    await eventually('the next', async () => (await next.reload()).isSucceeded)
    await eventually('the log line', async () => process.log().includes('Probe.hold of attempt'))
    expect(process.log()).toContain('ignores its signal: it still runs')
    process.kill('SIGTERM')
    expect(await process.exited).toBe(0)
  })
})

describe('a worker that hangs during a run', () => {
  /** A worker that hangs after a step of the run, and whose session PostgreSQL has ended, as it does after some minutes. */
  async function hangingAt(step: string, more = 0): Promise<WorkerProcess> {
    const settings = { DIE_AT: step, DIE_BY: 'SIGSTOP', HANG_MORE: `${more}` }
    const hanging = await worker(settings, { file: 'dying-worker.ts', visible: false })
    await eventually('the run', async () => (await sql(`SELECT FROM attempts WHERE status = 'running'`)).length === 1)
    await eventually('the hang', async () => isStopped(hanging.pid))
    await sql(
      // Workers of other databases have the same ids.
      `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND objid IN (SELECT id FROM async_workers WHERE async_workers.pid = $1)`,
      [hanging.pid],
    )
    return hanging
  }

  const times = async (effect: string) => (await effects()).filter(({ what }) => what === effect).length

  // It continues its run, or it first notices that its session was lost.
  it.each([
    ['claimed', 0],
    ['called', 0],
    ['claimed', 2000],
    ['called', 2000],
  ])(
    'P13, P17: after the step "%s": changes nothing if it continues %i ms after another worker',
    async (step, more) => {
      const attempt = await Attempt.async(Probe).once('written', 0)
      const zombie = await hangingAt(step, more)
      await worker()
      await eventually('the end of the attempt', async () => (await attempt.reload()).isFinished)
      const { result, completedAt } = attempt

      zombie.kill('SIGCONT')
      await eventually('its log line', async () => zombie.log().includes('"outcome":"superseded"'), 60_000).catch(
        (error: Error) => {
          throw new Error(`${error.message} Its log:\n${zombie.log()}`)
        },
      )
      expect(await attempt.reload()).toMatchObject({ status: 'succeeded', numAttempts: 2, result, completedAt })
      expect(await times('written')).toBe(1)
    },
  )

  it('P13, P17: after it has stored its result, delays no other worker, and may still commit', async () => {
    const attempt = await Attempt.async(Probe).once('written', 0)
    const zombie = await hangingAt('stored')
    const other = await Attempt.async(Probe).once('other', 0)
    await sql(`INSERT INTO attempts (target, method, args, status) VALUES ('Probe', 'plain', '["lost"]', 'running')`)
    await worker()
    await eventually('the other', async () => (await other.reload()).isSucceeded)
    await eventually('what was lost', async () => (await times('lost')) === 1)
    expect(await attempt.reload()).toMatchObject({ status: 'running', numAttempts: 1 })

    zombie.kill('SIGCONT')
    await eventually('its end', async () => (await attempt.reload()).isSucceeded)
    expect(attempt.numAttempts).toBe(1)
    expect(await times('written')).toBe(1)
  })
})

/** Whether a signal has stopped the process. */
function isStopped(pid: number): boolean {
  return spawnSync('ps', ['-o', 'state=', '-p', `${pid}`], { encoding: 'utf8' }).stdout.startsWith('T')
}
