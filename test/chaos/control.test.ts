import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { list } from '../../runtime/src/worker/daemon.js'
import { prisma } from '../.app/src/db.js'
import { eventually } from '../support/eventually.js'
import { REPOSITORY } from '../support/host.js'
import { bundled, compiled } from '../support/programs.js'
import { childEnv, run } from '../support/run.js'
import { Attempt } from './host/attempt.js'
import { db } from './host/database.js'
import { Probe } from './host/targets.js'
import { breakfast } from './host/toasts.js'
import { effect, sql, url } from './scene.js'

const BIN = bundled('runtime/src/bin/async-gen-worker.ts')
const HOST = bundled('test/chaos/host/worker.ts')

/** A worker module that does nothing, for what the command does with processes of any kind. */
const IDLE = `process.send('ready'); process.on('SIGTERM', () => process.exit()); setInterval(() => {}, 1000)`

let dir: string
let idle: string
let traces: string[]

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'async-gen-worker-'))
  idle = join(dir, 'idle.mjs')
  writeFileSync(idle, IDLE)
  traces = ['--pid-dir', join(dir, 'pids'), '--log-dir', join(dir, 'log')]
})

afterEach(() => {
  for (const { pid, state } of daemons()) if (state === 'running') process.kill(pid!, 'SIGKILL')
  rmSync(dir, { recursive: true })
})

describe('P15: async-gen-worker', () => {
  it('starts a worker in the background, shows it, and stops it after its running jobs have ended', async () => {
    const { stdout } = await asyncWorker('start', HOST, ...traces, '--concurrency', '3', '--sleep', '1')
    const [, pid] = /^Worker 1 runs as process (\d+)\. Its log is .*async-gen-worker\.1\.log$/m.exec(stdout)!
    expect(await db.workers()).toMatchObject([{ pid: Number(pid) }])
    expect(readFileSync(pidFile(), 'utf8').split('\n')[0]).toBe(pid)
    expect((await asyncWorker('status', ...traces)).stdout).toMatch(new RegExp(`^1  running  process ${pid} `))

    const attempt = await Attempt.async(Probe).once('slow', 1000)
    await effect('slow began')
    expect((await asyncWorker('stop', ...traces)).stdout).toBe(`Worker 1 (process ${pid}) has stopped.\n`)
    expect((await attempt.reload()).status).toBe('succeeded')
    expect(await db.workers()).toEqual([])
    const log = readFileSync(join(dir, 'log/async-gen-worker.1.log'), 'utf8')
    expect(log).toContain('runs up to 3 jobs at a time')
    expect(log).toContain('"name":"Probe.once"')
    expect(await asyncWorker('status', ...traces)).toMatchObject({
      code: 3,
      stdout: expect.stringMatching(/^No worker was started in the background in this folder\.\n/),
    })
  })

  it('does not start a running worker twice, and starts a dead one again', async () => {
    await asyncWorker('start', idle, ...traces, '--uid', 'mail')
    const second = await asyncWorker('start', idle, ...traces, '--uid', 'mail')
    expect(second).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/^Worker mail already runs, as process \d+\.$/m),
    })
    const third = await asyncWorker('start', idle, ...traces, '--uid', 'mail', '--json')
    expect(JSON.parse(third.stdout)).toMatchObject({
      error: { code: 'ALREADY_RUNNING', message: expect.stringContaining('Worker mail'), remedy: expect.any(String) },
    })

    const [mail] = daemons()
    process.kill(mail!.pid!, 'SIGKILL')
    await eventually('the death', async () => daemons()[0]!.state === 'dead')
    expect((await asyncWorker('status', ...traces)).code).toBe(3)
    await asyncWorker('start', idle, ...traces, '--uid', 'mail')
    expect(daemons()).toMatchObject([{ uid: 'mail', state: 'running' }])
  })

  it('does not take a process with the pid of a dead worker for that worker', async () => {
    await asyncWorker('start', idle, ...traces)
    const pids = readFileSync(pidFile(), 'utf8')
    await asyncWorker('stop', ...traces)
    const another = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', 'async-gen-worker', 'run'])
    writeFileSync(pidFile(), pids.replace(/^\d+/, `${another.pid}`))
    expect(daemons()).toMatchObject([{ state: 'dead' }])
    expect((await asyncWorker('stop', ...traces)).stdout).toContain('had already ended')
    expect(another.exitCode ?? another.signalCode).toBeNull()
    another.kill()
  })

  it('starts several, restarts them in turn with their settings, and stops one or all', async () => {
    await asyncWorker('start', HOST, ...traces, '--count', '2', '--concurrency', '3', '--health', '0')
    const before = daemons()
    expect(before).toMatchObject([{ uid: '1' }, { uid: '2' }])
    await asyncWorker('restart', ...traces, '--concurrency', '4')
    const after = daemons()
    expect(after).toMatchObject([
      { uid: '1', state: 'running' },
      { uid: '2', state: 'running' },
    ])
    expect(after.map(({ pid }) => pid)).not.toEqual(expect.arrayContaining([before[0]!.pid]))
    const log = readFileSync(join(dir, 'log/async-gen-worker.2.log'), 'utf8')
    expect(log).toMatch(/up to 3 jobs at a time.*"health":.*up to 4 jobs at a time.*"health":/s)
    await asyncWorker('stop', ...traces, '--uid', '2')
    expect(daemons()).toMatchObject([{ uid: '1', state: 'running' }])
    await asyncWorker('stop', ...traces)
    expect(daemons()).toEqual([])
  }, 180_000)

  it('shows the log of a worker that did not start', async () => {
    const broken = join(dir, 'worker.mjs')
    writeFileSync(broken, 'throw new Error("no such table")')
    const { code, stderr } = await asyncWorker('start', broken, ...traces)
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('no such table') })
    expect(daemons()).toEqual([])
  })

  it('does not start with a role that has rights to the jobs but cannot see them', async () => {
    await sql(`
      GRANT ALL ON ALL TABLES IN SCHEMA public, graphile_worker TO pg_read_all_data;
      GRANT ALL ON ALL SEQUENCES IN SCHEMA public, graphile_worker TO pg_read_all_data`)
    const another = new URL(url)
    another.searchParams.set('options', '-c role=pg_read_all_data')
    const { code, stdout } = await asyncWorkerOn(another.href, 'run', HOST, '--log', 'json')
    expect(code).toBe(1)
    const { message, error } = JSON.parse(stdout.trim().split('\n').at(-1)!)
    expect(message).toMatch(/The role pg_read_all_data cannot see .* GRANT ".+" TO "pg_read_all_data"/)
    expect(error.code).toBe('NO_JOBS')
  })

  it('runs in the foreground until nothing is due', async () => {
    const attempt = await Attempt.async(Probe).once('now', 0)
    const { code, stdout } = await asyncWorker('run', HOST, '--once', '--log', 'pretty')
    expect(code).toBe(0)
    expect(stdout).toContain(`  SUCCESS  Attempt(${attempt.id}) Probe.once  `)
    expect(stdout).toContain('1 succeeded')
    expect((await attempt.reload()).status).toBe('succeeded')
  })

  it('ends at a signal before the worker has started, also as the first process of a container', async () => {
    const loading = join(dir, 'worker.mjs')
    writeFileSync(loading, 'console.log("loading"); setInterval(() => {}, 1000)')
    const early = spawn(process.execPath, [BIN, 'run', loading], { env: childEnv() })
    await once(early.stdout, 'data')
    early.kill('SIGTERM')
    // Its own exit code: the default action, which a container's first process does not have, would leave none.
    expect(await once(early, 'exit')).toEqual([143, null])
  })

  it('C12: `clear` removes waiting refreshes from the queue, and nothing else', async () => {
    const oat = await prisma.oat.create({ data: { name: 'Rolled' } })
    await breakfast(oat)
    await Attempt.async(Probe).once('kept', 0)
    const { stdout } = await asyncWorker('clear', HOST, '--json')
    expect(JSON.parse(stdout)).toEqual({ version: 1, cleared: 1 })
    expect(await sql('SELECT task_identifier FROM graphile_worker.jobs')).toEqual([{ task_identifier: 'attempt' }])
    await breakfast(oat)
    expect(await sql(`SELECT FROM graphile_worker.jobs WHERE task_identifier = 'refresh_toast'`)).toHaveLength(1)
  })

  it('also has its name of version 0.1.0, async-worker, for older scripts', async () => {
    const { bin } = JSON.parse(readFileSync(join(REPOSITORY, 'runtime/package.json'), 'utf8'))
    expect(Object.keys(bin)).toEqual(['async-gen-worker', 'async-worker'])
    const old = compiled(join('runtime', bin['async-worker']))
    const { stdout } = await run(REPOSITORY, process.execPath, [old, '--help'])
    expect(stdout).toMatch(/^Usage: async-gen-worker /)
  })

  it('starts one more worker at each start, with the lowest free number', async () => {
    await asyncWorker('start', idle, ...traces, '--health', '0')
    const second = await asyncWorker('start', idle, ...traces, '--json')
    expect(JSON.parse(second.stdout)).toMatchObject({ version: 1, workers: [{ uid: '2', state: 'running' }] })
    await asyncWorker('stop', '--uid', '1', ...traces)
    expect((await asyncWorker('start', idle, ...traces)).stdout).toMatch(/^Worker 1 runs as process/)
    expect(daemons().map(({ uid }) => uid)).toEqual(['1', '2'])
  })

  it('prints the lines for .gitignore if git does not ignore its files', async () => {
    await run(dir, 'git', ['init', '-q'])
    const inRepository = (...args: string[]) =>
      run(dir, process.execPath, [BIN, ...args], { env: { DATABASE_URL: url } })
    const { stdout } = await inRepository('start', idle, '--pid-dir', 'pids')
    expect(stdout).toMatch(/^Git does not ignore the pid files and logs. Add to .gitignore: \/log\/ \/pids\/$/m)
    writeFileSync(join(dir, '.gitignore'), '/log/\n/pids/\n')
    expect((await inRepository('restart', '--pid-dir', 'pids')).stdout).not.toContain('.gitignore')
    expect((await inRepository('start', idle, '--pid-dir', 'pids')).stdout).not.toContain('.gitignore')
  })

  it.each([
    [['strat'], 'Unknown command "strat". Did you mean start?'],
    [['start', '--count', '0'], '--count is "0". It must be a whole number from 1 to 100.'],
    [['start', '--count', '2', '--uid', 'a'], '--uid and --count cannot be combined'],
    [['start', HOST, '--concurrency', '0'], '--concurrency is "0". It must be a whole number from 1 to 1000.'],
    [['run', HOST, '--sleep', '0'], '--sleep is "0s". It must be a duration from 10ms to 1 hour'],
    ...['start', 'stop', 'restart', 'status'].map((command): [string[], string] => [
      [command, '--uid', 'a/../../x'],
      '--uid is "a/../../x". It must be up to 64 letters, digits, - and _.',
    ]),
  ])('rejects %j', async (args, message) => {
    const { code, stderr } = await asyncWorker(...args)
    expect(code).toBe(2)
    expect(stderr).toContain(message)
  })

  it('rejects an invalid environment variable by name before it loads the worker module', async () => {
    const options = { env: { ASYNC_WORKER_ONCE: 'yes' }, exitCodes: [1] }
    const { stderr } = await run(REPOSITORY, process.execPath, [BIN, 'run', HOST], options)
    expect(stderr).toBe('ASYNC_WORKER_ONCE is "yes". It must be 1 or true, 0 or false.\n')
  })
})

const pidFile = () => join(dir, 'pids/async-gen-worker.1.pid')

const asyncWorker = (...args: string[]) => asyncWorkerOn(url, ...args)

const asyncWorkerOn = (database: string, ...args: string[]) =>
  run(REPOSITORY, process.execPath, [BIN, ...args], {
    env: { DATABASE_URL: database },
    exitCodes: [0, 1, 2, 3, 4],
  })

const daemons = () => list({ pids: join(dir, 'pids'), logs: join(dir, 'log') })
