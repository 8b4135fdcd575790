import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { COMMANDS, parseCommandLine, UsageError } from '../../runtime/src/bin/usage.js'
import { type DaemonFolders, launchSettingsOf, list, nextNumber, start, stop } from '../../runtime/src/worker/daemon.js'
import { REPOSITORY } from '../support/host.js'
import { bundled } from '../support/programs.js'
import { childEnv } from '../support/run.js'

const BIN = bundled('runtime/src/bin/async-gen-worker.ts')

/** Words that are nearly right, and words that are not. */
const word = fc.oneof(
  fc.constantFrom(
    ...Object.keys(COMMANDS),
    'strat',
    'worker.mjs',
    '.',
    '..',
    '--',
    '-',
    '-h',
    '--json',
    '--jsno',
    '--help',
  ),
  fc.constantFrom(
    '--uid',
    '--count',
    '--sleep',
    '--health',
    '--log',
    '--timeout',
    '--concurrency',
    '--once',
    '--json=1',
  ),
  fc.constantFrom('a/../../x', '../x', '0', '-1', '1e9', '99999999999', 'NaN', 'soon', '__proto__', 'constructor', ''),
  fc.string({ minLength: 1 }).map((text) => text.replaceAll('\0', '')),
)

describe('a command line of async-gen-worker', () => {
  it('is parsed or rejected with a message, for any arguments', () => {
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (args) => {
        try {
          const found = parseCommandLine(args, '0.1.0')
          expect(typeof found === 'string' || Object.hasOwn(COMMANDS, found.command)).toBe(true)
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError)
        }
      }),
      { numRuns: 5000 },
    )
  })

  it('ends with a documented exit code, no stack, and with --json one object, for any arguments', () => {
    const outer = temporaryFolder()
    const cwd = join(outer, 'a', 'host')
    mkdirSync(cwd, { recursive: true })
    fc.assert(
      fc.property(fc.array(word, { maxLength: 5 }), fc.boolean(), (words, json) => {
        const args = [...words, ...(json ? ['--json'] : [])]
        const options = { cwd, env: childEnv(), encoding: 'utf8', timeout: 60_000 } as const
        const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], options)
        expect([0, 1, 2, 3, 4]).toContain(status)
        expect(stdout + stderr).not.toMatch(/^ +at /m)
        if (args.some((each) => /^--json(=|$)/.test(each))) expect(JSON.parse(stdout)).toMatchObject({ version: 1 })
        else if (status !== 0 && status !== 3) expect(stderr).not.toBe('')
      }),
      { numRuns: 8 },
    )
    expect(readdirSync(outer)).toEqual(['a'])
    expect(readdirSync(join(outer, 'a'))).toEqual(['host'])
  })

  it.each([
    [['strat'], 'Unknown command "strat". Did you mean start?'],
    [['stop', '--once'], 'async-gen-worker stop has no option --once.'],
    [['start', '--cuont', '2'], 'Unknown option --cuont. Did you mean --count?'],
    [['start', '--concurency', '2'], 'Did you mean --concurrency?'],
    [['run', 'a.ts', 'b.ts'], 'Unexpected argument "b.ts".'],
    [['stop', 'a.ts'], 'Unexpected argument "a.ts".'],
    [[], 'A command is missing. Choose one of: run, start,'],
  ])('%j is rejected with a message', (args, message) => {
    expect(() => parseCommandLine(args, '')).toThrow(message)
  })

  it.each(Object.keys(COMMANDS))('%s --help shows its options and examples', (command) => {
    const help = parseCommandLine([command, '--help'], '') as string
    expect(help).toMatch(new RegExp(`^Usage: async-gen-worker ${command} `))
    expect(help).toMatch(/^Options:\n( {2}--\S.*\n)+\nExamples:\n( {2}\$ npx async-gen-worker .*\n?)+$/m)
  })

  it.each([
    [['stat', '--json']],
    [['start', '--cuont', '2', '--json']],
    [['--help', '--json']],
    [['status', '--json=1']],
  ])('with --json prints one object: %j', (args) => {
    const { stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], {
      cwd: REPOSITORY,
      env: childEnv(),
      encoding: 'utf8',
    })
    expect(JSON.parse(stdout)).toMatchObject({ version: 1 })
    expect(stderr).toBe('')
  })
})

describe('a pid file', () => {
  let folders: DaemonFolders

  beforeEach(() => {
    const dir = temporaryFolder()
    folders = { pids: join(dir, 'pids'), logs: join(dir, 'log') }
    mkdirSync(folders.pids)
  })

  const file = (uid = '1') => join(folders.pids, `async-gen-worker.${uid}.pid`)

  const started = async (uid = '1') => {
    const script = 'process.send("ready"); process.on("SIGTERM", () => process.exit()); setInterval(() => {}, 1000)'
    const launch = { module: 'worker.mjs', settings: {} }
    return await start(uid, { folders, launch, command: ['-e', script], timeout: 60_000 })
  }

  it.each([
    '',
    '\n',
    '1',
    '12345\n',
    '12345\n{"module":',
    '-1\n{"module":"w","settings":{}}',
    '0\n{"module":"w","settings":{}}',
    '1\n{"module":"w\\u0000","settings":{}}',
    '1\n{"module":"w","settings":{"A":1},"ticks":7}',
    '{"__proto__":null}',
    'x'.repeat(100_000),
  ])('with %.60j counts as that of a dead worker: start replaces it, stop removes it', async (text) => {
    writeFileSync(file(), text)
    expect(list(folders)).toMatchObject([{ uid: '1', state: 'dead' }])
    expect(await started()).toMatchObject({ uid: '1', state: 'running' })
    await stop('1', folders, 60_000)
    expect(list(folders)).toEqual([])

    writeFileSync(file(), text)
    expect(await stop('1', folders, 60_000)).toMatchObject({ state: 'dead' })
    expect(existsSync(file())).toBe(false)
  })

  it('that is a link is replaced, and its target stays unchanged', async () => {
    const target = join(folders.pids, '..', 'precious')
    writeFileSync(target, 'precious')
    symlinkSync(target, file())
    expect(list(folders)).toMatchObject([{ state: 'dead' }])
    await started()
    await stop('1', folders, 60_000)
    expect(existsSync(target)).toBe(true)
  })

  it('that is a folder hides no other worker; start says what to remove', async () => {
    mkdirSync(file('9'))
    writeFileSync(join(folders.pids, 'async-gen-worker.a b.pid'), '1')
    writeFileSync(join(folders.pids, 'async-gen-worker..pid'), '1')
    await started()
    expect(list(folders)).toMatchObject([{ uid: '1', state: 'running' }])
    await expect(started('9')).rejects.toMatchObject({
      code: 'PID_FILE',
      message: expect.stringContaining('Remove it'),
    })
    await stop('1', folders, 60_000)
  })

  it('of version 0.1.0 is recognised', async () => {
    writeFileSync(join(folders.pids, 'async-worker.2.pid'), '')
    expect(list(folders)).toMatchObject([{ uid: '2', log: join(folders.logs, 'async-worker.2.log') }])
    await stop('2', folders, 1000)
    expect(readdirSync(folders.pids)).toEqual([])
  })

  it('with any bytes is read, listed and removed without an error, and no other file changes', async () => {
    const json = fc.json().map((text) => `${process.pid}\n${text}\n`)
    const note = fc.record({ module: fc.string(), settings: fc.anything(), ticks: fc.anything() })
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
      json.map((text) => Buffer.from(text)),
      note.map((each) => Buffer.from(`${process.pid}\n${fc.stringify(each)}\n`)),
      fc.tuple(fc.integer(), fc.json()).map(([pid, text]) => Buffer.from(`${pid}\n${text}`)),
    )
    await fc.assert(
      fc.asyncProperty(bytes, async (content) => {
        writeFileSync(file('x'), content)
        // No process of ours began when it says: none may be taken for a worker, and ended.
        expect(list(folders)).toMatchObject([{ uid: 'x', state: 'dead' }])
        expect(nextNumber(folders)).toBe('1')
        const launch = launchSettingsOf('x', folders)
        if (launch) expect(Object.keys(launch.settings).every((name) => name.startsWith('ASYNC_WORKER_'))).toBe(true)
        expect(await stop('x', folders, 1000)).toMatchObject({ state: 'dead' })
        expect(readdirSync(folders.pids)).toEqual([])
      }),
      { numRuns: 1000 },
    )
  })
})

function temporaryFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'async-gen-worker-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}
