import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import type { WorkerProcess } from '../support/worker.js'
import { Attempt } from './host/attempt.js'
import { Probe } from './host/targets.js'
import { effects, sql, worker } from './scene.js'

/** The steps after which a worker dies: how often a call runs, and how often its effect happens that is in no transaction. */
const STEPS = [
  ['claimed', { runs: 2, plainTimes: 1 }],
  ['called', { runs: 2, plainTimes: 2 }],
  // Only a call with a transaction takes this step.
  ['stored', { runs: 2, plainTimes: 0 }],
  ['committed', { runs: 1, plainTimes: 1 }],
] as const

describe('a worker that is killed during its runs', () => {
  it.each(STEPS)(
    'A8, A9: after the step "%s": writes through tx() exist once, other effects at least once',
    async (step, { runs, plainTimes }) => {
      const inTransaction = [
        await Attempt.async(Probe).once('written', 0),
        await Attempt.async(Probe).snoozeOnce('polled'),
      ]
      const plain =
        plainTimes > 0
          ? [await Attempt.async(Probe).plain('done'), await Attempt.async(Probe).snoozePlain('asked')]
          : []
      const attempts = [...inTransaction, ...plain]
      await killedAt(step, attempts.length)
      await worker()
      for (const attempt of attempts) {
        await eventually(`the end of ${attempt.method}`, async () => (await attempt.reload()).isFinished)
        expect(attempt).toMatchObject({ status: 'succeeded', numAttempts: runs })
      }
      expect(inTransaction[1]).toMatchObject({ snoozes: 1, result: 'polled' })
      expect([await times('written'), await times('polled snoozed'), await times('polled')]).toEqual([1, 1, 1])
      expect(plain.slice(1)).toMatchObject(plain.slice(1).map(() => ({ snoozes: 1 })))
      expect([await times('done'), await times('asked snoozed')]).toEqual([plainTimes, plainTimes])
    },
  )

  it('after the steps "failing" and "failed" of runs whose time limit is over', async () => {
    const attempts = [
      await Attempt.async(Probe, { timeout: '1 second' }).deafOnce('written'),
      await Attempt.async(Probe, { timeout: '1 second' }).deafOnce('written'),
    ]
    await Promise.all(['failing', 'failed'].map((step) => killedAt(step, 1)))
    // Long enough for the second run on a busy machine.
    await sql('UPDATE attempts SET timeout_ms = 60000')
    await worker()
    for (const attempt of attempts) {
      await eventually('the end of the attempt', async () => (await attempt.reload()).isFinished)
      expect(attempt).toMatchObject({ status: 'succeeded', numAttempts: 2 })
    }
    expect(await times('written')).toBe(2)
    const errors = attempts.flatMap((attempt) => attempt.errors).map(({ number, name }) => `${number} ${name}`)
    expect(errors.toSorted()).toEqual(['1 TimeoutError', '1 WorkerDied'])
  })
})

/** Has a worker die when so many runs have taken a step. It runs no more than these. */
async function killedAt(step: string, runs: number): Promise<void> {
  const settings = { DIE_AT: step, DIE_RUNS: `${runs}`, ASYNC_WORKER_CONCURRENCY: `${runs}` }
  const dying = await worker(settings, { file: 'dying-worker.ts', visible: false })
  await dying.exited
}

async function times(effect: string): Promise<number> {
  return (await effects()).filter(({ what }) => what === effect).length
}

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
  /** Workers that hang, each after a step of one run, and whose sessions PostgreSQL has ended, as it does after some minutes. */
  async function hangingAt(...steps: { step: string; more?: number }[]): Promise<WorkerProcess[]> {
    const hanging = await Promise.all(
      steps.map(({ step, more = 0 }) => {
        const settings = { DIE_AT: step, DIE_BY: 'SIGSTOP', HANG_MORE: `${more}`, ASYNC_WORKER_CONCURRENCY: '1' }
        return worker(settings, { file: 'dying-worker.ts', visible: false })
      }),
    )
    await eventually('the hang', async () => hanging.every(({ pid }) => isStopped(pid)))
    expect(await sql(`SELECT FROM attempts WHERE status = 'running'`)).toHaveLength(steps.length)
    await sql(
      // Workers of other databases have the same ids.
      `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND objid IN (SELECT id FROM async_workers WHERE async_workers.pid = ANY ($1))`,
      [hanging.map(({ pid }) => pid)],
    )
    return hanging
  }

  it('P13, P17: changes nothing if it continues after another worker', async () => {
    const attempts = await Promise.all([1, 2, 3, 4].map((i) => Attempt.async(Probe).once(`written ${i}`, 0)))
    // They continue their runs, or first notice that their sessions were lost.
    const zombies = await hangingAt(
      { step: 'claimed' },
      { step: 'called' },
      { step: 'claimed', more: 2000 },
      { step: 'called', more: 2000 },
    )
    await worker()
    await eventually('the end', async () => (await sql(`SELECT FROM attempts WHERE status = 'succeeded'`)).length === 4)
    const ended = await sql('SELECT * FROM attempts ORDER BY id')

    for (const zombie of zombies) zombie.kill('SIGCONT')
    for (const zombie of zombies) {
      await eventually('its log line', async () => zombie.log().includes('"outcome":"superseded"'), 60_000).catch(
        (error: Error) => {
          throw new Error(`${error.message} Its log:\n${zombie.log()}`)
        },
      )
    }
    expect(await sql('SELECT * FROM attempts ORDER BY id')).toEqual(ended)
    for (const [i, attempt] of attempts.entries()) {
      expect(await attempt.reload()).toMatchObject({ numAttempts: 2 })
      expect(await times(`written ${i + 1}`)).toBe(1)
    }
  })

  it('P13, P17: after it has stored its result, delays no other worker, and may still commit', async () => {
    const attempt = await Attempt.async(Probe).once('written', 0)
    const [zombie] = await hangingAt({ step: 'stored' })
    const other = await Attempt.async(Probe).once('other', 0)
    await sql(`INSERT INTO attempts (target, method, args, status) VALUES ('Probe', 'plain', '["lost"]', 'running')`)
    await worker()
    await eventually('the other', async () => (await other.reload()).isSucceeded)
    await eventually('what was lost', async () => (await times('lost')) === 1)
    expect(await attempt.reload()).toMatchObject({ status: 'running', numAttempts: 1 })

    zombie!.kill('SIGCONT')
    await eventually('its end', async () => (await attempt.reload()).isSucceeded)
    expect(attempt.numAttempts).toBe(1)
    expect(await times('written')).toBe(1)
  })
})

/** Whether a signal has stopped the process. */
function isStopped(pid: number): boolean {
  return spawnSync('ps', ['-o', 'state=', '-p', `${pid}`], { encoding: 'utf8' }).stdout.startsWith('T')
}
