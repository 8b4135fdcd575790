import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { prisma } from '../.app/src/db.js'
import { eventually } from '../support/eventually.js'
import { REPOSITORY } from '../support/host.js'
import { bundled } from '../support/programs.js'
import { childEnv } from '../support/run.js'
import { Attempt } from './host/attempt.js'
import { Slow } from './host/reports/slow.js'
import { Probe } from './host/targets.js'
import { breakfast } from './host/toasts.js'
import { effect, release, sql, url, worker } from './scene.js'

describe('the log of a worker', () => {
  it('P14: has a line for each run, as JSON without a terminal, and a summary', async () => {
    const running = await worker()
    const good = await Attempt.async(Probe).once('good', 0)
    const bad = await Attempt.create({ target: Probe, method: 'fail', args: ['The van broke down'], maxAttempts: 1 })
    const again = await Attempt.async(Probe).fail('flat tyre')
    await sql(`SELECT graphile_worker.add_job('own_job')`)
    await sql(`SELECT graphile_worker.add_job('own_job', '{"fail": true}')`)
    await sql(`SELECT graphile_worker.add_job('own_job', '{"fail": true}', max_attempts => 1)`)
    await release()
    await effect('own job ended')
    await breakfast(await prisma.oat.create({ data: { name: 'Rolled' } }))
    await effect('toast ended')
    await (await Slow.create({})).build()
    await effect('report ended')
    await eventually(
      'the failures',
      async () => (await bad.reload()).status === 'failed' && (await again.reload()).errors[0],
    )
    expect(await running.stop()).toBe(0)

    const lines = running
      .log()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines[0]).toMatchObject({
      level: 'info',
      message: expect.stringMatching(/^Worker \d+ on .*attempt, own_job/),
    })
    const run = { time: expect.any(String), event: 'run', type: 'Attempt', run: 1, elapsed: expect.any(Number) }
    expect(lines).toContainEqual({ ...run, level: 'info', id: `${good.id}`, name: 'Probe.once', outcome: 'succeeded' })
    const error = { name: 'Error', message: 'The van broke down', stack: expect.any(String) }
    expect(lines).toContainEqual({
      ...run,
      level: 'error',
      id: `${bad.id}`,
      name: 'Probe.fail',
      outcome: 'failed',
      error,
    })
    expect(lines).toContainEqual({
      ...run,
      level: 'warning',
      id: `${again.id}`,
      name: 'Probe.fail',
      outcome: 'retried',
      error: { ...error, message: 'flat tyre' },
    })
    expect(lines).toContainEqual(
      expect.objectContaining({ event: 'job', type: 'Job', name: 'own_job', outcome: 'succeeded' }),
    )
    const ownError = expect.objectContaining({ name: 'Error', message: 'A job of your own failed' })
    for (const outcome of ['retried', 'failed']) {
      expect(lines).toContainEqual(expect.objectContaining({ event: 'job', outcome, error: ownError }))
    }
    const succeeded = { level: 'info', outcome: 'succeeded', run: 1, elapsed: expect.any(Number) }
    const refresh = { ...succeeded, event: 'refresh', type: 'Toast', name: 'oat.breakfast' }
    expect(lines).toContainEqual(expect.objectContaining(refresh))
    const build = { ...succeeded, event: 'build', type: 'Report', name: 'Slow.build' }
    expect(lines).toContainEqual(expect.objectContaining(build))
    expect(lines.at(-1).message).toMatch(
      /^Stopped after .*: 4 succeeded, \d failed and will be retried, 2 failed for good\.$/,
    )
  })

  it('P14: is in colour on a terminal', async () => {
    const attempt = await Attempt.create({ target: Probe, method: 'fail', args: ['flat tyre'], maxAttempts: 1 })
    const { NO_COLOR, FORCE_COLOR, CI, ...env }: NodeJS.ProcessEnv = childEnv({
      DATABASE_URL: url,
      ASYNC_WORKER_ONCE: '1',
      TERM: 'xterm-256color',
    })
    const command = `${process.execPath} ${bundled('test/chaos/host/worker.ts')}`
    // `script` gives it a terminal of its own.
    const terminal = spawn('script', ['-qec', command, '/dev/null'], {
      cwd: REPOSITORY,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let seen = ''
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
      seen += text
    })
    await once(terminal, 'close')
    const red = (text: string) => `\u001b[31m${text}\u001b[39m`
    expect(seen).toContain(`${red('FAILURE')}  Attempt(${attempt.id}) Probe.fail  `)
    expect(seen).toContain(`${red('Error: flat tyre')}  run 1, failed for good`)
    expect(seen).toMatch(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/)
  })
})

describe('a worker whose log cannot be written, because the disk is full', () => {
  it('continues', async () => {
    await Attempt.async(Probe).plain('first')
    const toFullDisk = ['sh', '-c', 'exec "$@" > /dev/full', 'sh']
    const running = await worker({}, { within: toFullDisk })
    await effect('first')
    await Attempt.async(Probe).plain('second')
    await effect('second')
    expect(await running.stop(), running.log()).toBe(0)
  })
})

describe('P21: a worker', () => {
  it('deletes old finished attempts, and logs it', async () => {
    await sql(`
      INSERT INTO attempts (target, method, status, completed_at)
      SELECT 'Probe', 'once', 'succeeded', now() - days * interval '1 day' FROM unnest(ARRAY[5, 6, 8, 9]) AS days`)
    const running = await worker()
    await eventually('the end of the old ones', async () => (await sql('SELECT FROM attempts')).length === 2)
    await eventually('the line', async () => running.log().includes('"message":"Old rows of attempts deleted: 2."'))
  })
})

describe('a worker with --once', () => {
  it('runs due calls, also those without a job, leaves others, and ends with 0', async () => {
    const due = await Attempt.async(Probe).once('due', 0)
    const lost = await Attempt.async(Probe).once('lost', 0)
    const later = await Attempt.schedule(new Date(Date.now() + 3_600_000), Probe).once('later', 0)
    await sql(`DELETE FROM graphile_worker._private_jobs WHERE key = $1`, [`attempt:${lost.id}`])
    const running = await worker({ ASYNC_WORKER_ONCE: '1' }, { visible: false })
    expect(await running.exited, running.log()).toBe(0)
    expect((await due.reload()).status).toBe('succeeded')
    expect((await lost.reload()).status).toBe('succeeded')
    expect((await later.reload()).status).toBe('pending')
  })
})
