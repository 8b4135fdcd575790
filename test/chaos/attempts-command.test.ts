import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { type Answer, answerOf, errorAnswerOf } from '../../runtime/src/bin/answer.js'
import { attempts as attemptsCommand } from '../../runtime/src/bin/attempts/command.js'
import { type CommandLine, parseCommandLine } from '../../runtime/src/bin/usage.js'
import { REPOSITORY } from '../support/host.js'
import { createDatabase } from '../support/postgres.js'
import { bundled, compiled } from '../support/programs.js'
import { childEnv, run } from '../support/run.js'
import { Attempt } from './host/attempt.js'
import { Probe } from './host/targets.js'
import { sql, url, worker } from './scene.js'

const empty = await createDatabase(inject('postgres'))

const BIN = bundled('runtime/src/bin/async-gen-worker.ts')
const HOST = bundled('test/chaos/host/worker.ts')
const HOST_IN_PROCESS = compiled('test/chaos/host/worker.ts')

/** The program, as a process. */
const program = (...args: string[]) =>
  run(REPOSITORY, process.execPath, [BIN, 'attempts', ...args, '--worker', HOST], {
    env: { DATABASE_URL: url },
    exitCodes: [0, 1, 2],
  })

/** What the program prints, without a process for each command. */
const attempts = (...args: string[]) => attemptsOf(HOST_IN_PROCESS, ...args)

async function attemptsOf(worker: string, ...args: string[]) {
  const { exitCode, ...printed } = await answerTo(['attempts', ...args, '--worker', worker])
  return { ...printed, code: exitCode ?? 0 }
}

async function answerTo(args: string[]): Promise<Answer> {
  const json = args.includes('--json')
  try {
    const { subcommand, flags } = parseCommandLine(args, '') as CommandLine
    return answerOf(await attemptsCommand(subcommand!, flags), json)
  } catch (error) {
    return errorAnswerOf(error, json)
  }
}

async function json(...args: string[]) {
  const { stdout, code } = await attempts(...args, '--json')
  return { code, ...JSON.parse(stdout) }
}

/** Inserts a row as it may be after years of use, and returns its id. */
async function insert(columns: Record<string, unknown>): Promise<string> {
  const row = { target: 'Probe', method: 'plain', args: '["x"]', ...columns }
  const names = Object.keys(row)
  const values = names.map((_, i) => `$${i + 1}`)
  const [inserted] = await sql(
    `INSERT INTO attempts (${names}) VALUES (${values}) RETURNING id::text`,
    Object.values(row),
  )
  return inserted!.id
}

const failure = (message: string, code?: string) => ({
  status: 'failed',
  num_attempts: 25,
  completed_at: new Date(),
  errors: JSON.stringify([
    {
      number: 25,
      at: '2026-11-26T08:00:00.000Z',
      elapsed: 0.031,
      worker: 7,
      name: 'Error',
      message,
      code,
      stack: `Error: ${message}\n    at fulfill (file:///app/order-client.js:12:9)`,
      cause: { name: 'TypeError', message: 'fetch failed', cause: { name: 'Error', message: 'the root' } },
    },
  ]),
})

describe('async-gen-worker attempts', () => {
  it('lists the newest attempts, filtered by what they are, when they ended and why they failed', async () => {
    await Attempt.async(Probe).plain('waits')
    const refused = await insert(failure('connect ECONNREFUSED 127.0.0.1:443', 'ECONNREFUSED'))
    const old = await insert({ ...failure('connect ECONNREFUSED'), completed_at: '2026-01-01Z', target: 'OrderClient' })
    const done = await insert({ status: 'succeeded', completed_at: new Date(), idempotence_token: 'order-1' })

    const { stdout, code } = await program()
    expect(code).toBe(0)
    const lines = stdout.trimEnd().split('\n')
    expect(lines[0]).toMatch(/^id +status +ended or recorded +call +runs +last error$/)
    expect(lines.map((line) => /^\d+/.exec(line)?.[0]).slice(1, 4)).toEqual([done, old, refused])
    expect(lines[3]).toMatch(
      /^\d+ +failed +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ +Probe\.plain +25 +Error: connect ECONNREFUSED 127\.0\.0\.1:443$/,
    )

    const ids = async (...args: string[]) => {
      const { attempts: found } = await json(...args)
      return found.map(({ id }: { id: string }) => id)
    }
    expect(await ids('--failed')).toEqual([old, refused])
    expect(await ids('--failed', '--since', '1d')).toEqual([refused])
    expect(await ids('--failed', '--before', '2026-01-02')).toEqual([old])
    expect(await ids('--status', 'failed,succeeded', '--error', 'econnrefused')).toEqual([old, refused])
    expect(await ids('--target', 'OrderClient')).toEqual([old])
    expect(await ids('--token', 'order-1')).toEqual([done])
    // Without a status that is an end, the times are those of recording.
    expect(await ids('--since', '1h', '--limit', '2')).toEqual([done, old])
    expect((await attempts('--limit', '2')).stdout).toContain('These are the newest 2. --limit lists more.')
    // What is shown can be given back.
    const [time] = /\d{4}-\S+Z/.exec(lines[2]!)!
    expect(await ids('--failed', '--since', time, '--before', '2026-01-01 01:00:01+01')).toEqual([old])
  })

  it('says which name targets.ts does not list, and takes a target and a method as one word', async () => {
    const id = await insert({})
    expect((await json('--target', 'Probe.plain')).attempts).toMatchObject([{ id }])
    const none = async (...args: string[]) => (await attempts(...args)).stdout
    expect(await none('--target', 'Prboe')).toBe(
      'No attempt matches.\ntargets.ts lists no target Prboe. Did you mean Probe?\n',
    )
    expect(await none('--target', 'Probe.palin')).toContain('no method palin of the target Probe. Did you mean plain?')
    expect(await none('--method', 'Probe.plain')).toContain('targets.ts lists no method Probe.plain.')
    expect(await none('--method', 'plain', '--failed')).toBe('No attempt matches.\n')
    expect(await json('retry', '--target', 'Prboe', '--yes')).toMatchObject({
      code: 0,
      count: 0,
      hint: 'targets.ts lists no target Prboe. Did you mean Probe?',
    })
    expect(await none('resume', 'Prboe')).toBe(
      'Prboe (Attempt): not paused.\ntargets.ts lists no target Prboe. Did you mean Probe?\n',
    )
  })

  it('cuts the lines of the list at the width of a terminal, and nowhere else', async () => {
    await insert(failure('x'.repeat(100)))
    expect((await attempts()).stdout).toMatch(/x{100}\n/)
    const { text } = await onTerminal('', 'list')
    const lines = text.trimEnd().split(/\r?\n/)
    expect(lines[1]).toMatch(/^.{99}…$/)
  })

  it('shows the lines of an error, and in the list the line that says most', async () => {
    const message =
      '\nInvalid `prisma.order.create()` invocation in\r\n/app/order.js:3:4\n\n→ 3 \u001b[2J\nUnique constraint failed\n'
    const [of] = JSON.parse(failure(message, 'P2002').errors)
    const errors = JSON.stringify([{ ...of, name: 'PrismaClientKnownRequestError' }])
    const id = await insert({ ...failure(''), errors })
    await insert({ ...failure(''), errors: JSON.stringify([{ ...of, name: 'PermanentError', code: 'PERMANENT' }]) })
    const list = (await attempts()).stdout
    expect(list).toMatch(/PrismaClientKnownRequestError P2002: Unique constraint failed\n/)
    expect(list).toMatch(/ PermanentError: Invalid `prisma\.order\.create\(\)` invocation in\n/)
    expect((await attempts('show', id)).stdout).toContain(
      [
        '    PrismaClientKnownRequestError P2002: Invalid `prisma.order.create()` invocation in',
        '      /app/order.js:3:4',
        '      → 3 \\u{1b}[2J',
        '      Unique constraint failed',
        '      at fulfill (file:///app/order-client.js:12:9)',
      ].join('\n'),
    )
  })

  it('shows one attempt with its errors, stacks and causes', async () => {
    const id = await insert({
      ...failure('connect ECONNREFUSED', 'ECONNREFUSED'),
      snoozes: 2,
      progress: 0.4,
      progress_message: 'page 4 of 10',
      timeout_ms: 30000,
      priority: 12,
      idempotence_token: 'order-1',
    })
    const child = await insert({ parent_id: id })
    const { stdout } = await attempts('show', id)
    expect(stdout).toMatch(new RegExp(`^Attempt ${id}  failed\n`))
    for (const line of [
      'call            Probe.plain',
      'arguments       ["x"]',
      'runs            25 of 25',
      'snoozes         2',
      'progress        40 %',
      'page 4 of 10',
      'time limit      30.0 s',
      'priority        12',
      'token           order-1',
      'children        1',
      'Run 25 failed 2026-11-26T08:00:00Z, after 31 ms, worker 7',
      'Error: connect ECONNREFUSED',
      'at fulfill (file:///app/order-client.js:12:9)',
      'Cause: TypeError: fetch failed',
      'Cause: Error: the root',
    ])
      expect(stdout).toContain(line)
    expect((await attempts('show', child)).stdout).toContain(`parent          ${id}`)
    expect(await json('show', id)).toMatchObject({
      code: 0,
      attempt: { id, model: 'Attempt', children: 1, errors: [{ cause: { cause: { message: 'the root' } } }] },
    })

    expect(await program('show', '999999')).toMatchObject({
      code: 1,
      stdout: 'There is no attempt 999999 of Attempt.\n',
    })
    expect(await json('show', '999999')).toMatchObject({ code: 1, error: { code: 'NOT_FOUND' } })
    expect(await json('show', child, id, child, '999999')).toMatchObject({
      code: 1,
      attempts: [{ id: child }, { id }],
      error: { message: 'There is no attempt 999999 of Attempt.' },
    })
  })

  it('retries, cancels and expires attempts by their ids, and says which it left alone', async () => {
    const failed = await insert(failure('no'))
    const done = await insert({ status: 'succeeded', completed_at: new Date() })
    const waiting = await insert({})
    expect(await attempts('retry', failed, '--dry-run')).toMatchObject({
      code: 0,
      stdout: `${failed}  Probe.plain  would be retried\n`,
    })
    expect(await attempts('retry', done, '--dry-run')).toMatchObject({
      code: 1,
      stdout: `Attempt ${done} is succeeded. Only attempts that are pending, failed, expired or cancelled can be retried.\n`,
    })
    expect((await Attempt.find(failed))!.status).toBe('failed')
    expect(await json('retry', failed, done, '999999')).toMatchObject({
      code: 1,
      count: 1,
      changed: [failed],
      failed: [{ id: done, message: expect.stringContaining('is succeeded') }, { id: '999999' }],
    })
    expect((await Attempt.find(failed))!.status).toBe('pending')
    expect(await attempts('cancel', waiting)).toMatchObject({ code: 0, stdout: `${waiting}  Probe.plain  cancelled\n` })
    expect((await attempts('expire', failed)).code).toBe(0)
    expect((await Attempt.find(failed))!.status).toBe('expired')
    expect(await attempts('expire', failed, `00${failed}`)).toMatchObject({
      code: 1,
      stdout: `Attempt ${failed} is already expired.\n`,
    })
    expect((await attempts('cancel', failed)).stdout).toBe(
      `Attempt ${failed} is expired. Only attempts that are pending, blocked or running can be cancelled.\n`,
    )
  })

  it('reschedules pending attempts, by their ids or by filters', async () => {
    const [one, two] = [await insert({}), await insert({ method: 'slow' })]
    const done = await insert({ status: 'succeeded', completed_at: new Date() })
    const at = '2999-01-01T08:30:00.000Z'
    expect(await json('reschedule', one, done, '--to', at)).toMatchObject({
      code: 1,
      changed: [one],
      failed: [{ id: done }],
    })
    expect(await attempts('reschedule', '--method', 'slow', '--to', '1h', '--dry-run')).toMatchObject({
      stdout: '1 attempt would be rescheduled.\n',
    })
    expect((await attempts('reschedule', '--method', 'slow', '--to', '1h', '--yes')).stdout).toBe(
      '1 attempt was rescheduled.\n',
    )
    expect((await Attempt.find(one))!.scheduledAt.toISOString()).toBe(at)
    const wait = (await Attempt.find(two))!.scheduledAt.getTime() - Date.now()
    expect(Math.abs(wait - 3_600_000)).toBeLessThan(60_000)
  })

  it('says that it has not rescheduled an attempt which another transaction has locked', async () => {
    const id = await insert({})
    const other = new pg.Client({ connectionString: url })
    await other.connect()
    await other.query(`BEGIN; SELECT FROM attempts WHERE id = ${id} FOR UPDATE`)
    const answer = await attempts('reschedule', id, '--to', '1h')
    await other.end()
    expect(answer).toMatchObject({
      code: 1,
      stdout: `Attempt ${id} was not rescheduled: another transaction has locked it. Try again.\n`,
    })
  })

  it('changes many attempts only with --yes or after a question on a terminal', async () => {
    const ids = [
      await insert(failure('one')),
      await insert(failure('two')),
      await insert({ ...failure('x'), target: 'Y' }),
    ]
    const args = ['retry', '--failed', '--target', 'Probe']
    const count = () => Attempt.count({ status: 'pending' })
    expect(await attempts(...args, '--dry-run')).toMatchObject({ code: 0, stdout: '2 attempts would be retried.\n' })
    const refused = await program(...args)
    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).toContain('Nothing was changed: 2 attempts would be retried. Add --yes to do it.')
    expect(await onTerminal('n\r', ...args)).toMatchObject({ code: 1 })
    expect(await count()).toBe(0)
    const answered = await onTerminal('y\r', ...args)
    expect(answered.text).toContain('2 attempts will be retried. Continue? [y/N]')
    expect(answered).toMatchObject({ code: 0, text: expect.stringContaining('2 attempts were retried.') })
    expect(await count()).toBe(2)
    expect(await json('cancel', '--pending', '--yes')).toEqual({
      code: 0,
      version: 1,
      action: 'cancel',
      dryRun: false,
      count: 2,
    })
    expect(await attempts('cancel', '--pending', '-y')).toMatchObject({
      code: 0,
      stdout: 'No attempt matches. Nothing was changed.\n',
    })
    expect((await Attempt.find(ids[2]!))!.status).toBe('failed')
  })

  it('pauses and resumes, and `status` and `attempts pauses` show it', async () => {
    expect(await attempts('pauses')).toMatchObject({ code: 0, stdout: 'Nothing is paused.\n' })
    const { stdout } = await attempts('pause', 'Probe.plain', '--until', '1h', '--reason', 'deploy')
    expect(stdout).toMatch(/^Probe\.plain \(Attempt\) has been paused since \S{19}Z, until \S{19}Z: deploy\.\n$/)
    expect(await Attempt.pauses()).toMatchObject([{ target: 'Probe', method: 'plain', reason: 'deploy' }])
    expect((await attempts('pauses')).stdout).toBe(stdout)
    await Attempt.async(Probe).plain('waits')
    expect((await attempts('--pending')).stdout).toContain('pending (paused)')

    expect((await attempts('resume', 'Probe')).stdout).toMatch(
      /^Probe \(Attempt\): not paused\.\nProbe\.plain \(Attempt\) has been paused/,
    )
    expect(await attempts('resume', 'Probe.plain')).toMatchObject({
      code: 0,
      stdout: 'Probe.plain (Attempt): resumed.\n',
    })
    await sql(`INSERT INTO async_pauses (model, target, method) VALUES ('Attempt', 'Gone', 'old')`)
    expect(await json('resume', 'Gone.old')).toEqual({ code: 0, version: 1, resumed: true, pauses: [] })
    await sql(`INSERT INTO async_pauses (model, target) VALUES ('Attempt', 'with.dot')`)
    expect(await json('resume', 'with.dot')).toMatchObject({ resumed: true, pauses: [] })
    await attempts('pause', 'Probe', '--method', 'plain')
    expect(await Attempt.pauses()).toMatchObject([{ target: 'Probe', method: 'plain' }])
    expect((await attempts('resume')).stdout).toMatch(
      /^All calls of Attempt: not paused\.\nWithout a target, .* These pauses stay:\nProbe\.plain/,
    )
  })

  it('pauses all calls only with --all or --yes, or after a question on a terminal', async () => {
    await insert({})
    await insert({ target: 'Other' })
    const refused = await attempts('pause')
    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).toContain('Nothing was paused: All calls of Attempt would be paused: 2 attempts would wait.')
    expect(refused.stderr).toContain('Add --all')
    expect(await json('pause')).toMatchObject({ code: 2, error: { code: 'USAGE' } })
    expect((await attempts('pause', 'Probe', '--dry-run')).stdout).toBe(
      'Probe (Attempt) would be paused: 1 attempt would wait.\n',
    )
    expect(await attempts('pause', '--all', '--dry-run')).toMatchObject({ code: 0 })
    expect(await onTerminal('n\r', 'pause')).toMatchObject({ code: 1 })
    expect(await Attempt.pauses()).toEqual([])
    expect(await onTerminal('y\r', 'pause')).toMatchObject({ code: 0 })
    expect(await Attempt.pauses()).toMatchObject([{ target: null, method: null }])
    expect((await attempts('resume')).stdout).toBe('All calls of Attempt: resumed.\n')
    for (const flag of ['--all', '--yes']) {
      expect(await json('pause', flag)).toMatchObject({ code: 0, paused: true })
      expect(await json('resume', ...(flag === '--all' ? [flag] : []))).toMatchObject({ resumed: true, pauses: [] })
    }
  })

  it('marks pauses that match nothing, with a statement that removes each', async () => {
    await sql(`INSERT INTO async_pauses (model, target, method) VALUES
      ('Attempt', '*', 'plain'), ('Attempt', 'Prboe', '*'), ('attempts', 'it''s', '*')`)
    const { stdout } = await attempts('pauses')
    expect(stdout).toMatch(
      /^\*\.plain \(Attempt\) has been paused since \S+, until it is resumed\.\nPrboe \(Attempt\) .*\n {2}It matches nothing: targets\.ts lists no target Prboe\. Did you mean Probe\? .*\nit's \(attempts\) .*\n {2}It matches nothing: there is no model attempts of attempts\. /,
    )
    for (const statement of stdout.match(/DELETE .*;/g)!) await sql(statement)
    expect(await sql('SELECT method FROM async_pauses')).toEqual([{ method: 'plain' }])
  })

  it('`status` lists all workers of the database, which of them are of this folder, and the pauses', async () => {
    await Attempt.pause(Probe, { reason: 'deploy' })
    const other = await worker()
    const folder = mkdtempSync(join(tmpdir(), 'async-gen-status-'))
    const folders = ['--pid-dir', folder, '--log-dir', folder]
    const inHost = (database: string, ...args: string[]) =>
      run(folder, process.execPath, [BIN, ...args, ...folders], {
        env: { DATABASE_URL: database },
        exitCodes: [0, 3],
      })
    // A folder without pid files does not know the worker module.
    expect(await inHost(url, 'status')).toMatchObject({
      code: 3,
      stdout: expect.stringContaining('(NO_WORKER_MODULE)'),
    })
    await inHost(url, 'start', HOST)
    const { stdout, code } = await inHost(url, 'status')
    expect(code).toBe(0)
    expect(stdout).toMatch(
      new RegExp(
        `^1 {2}running .*\nAlive in this database:\n {2}\\d+ {2}\\S+, process ${other.pid}, since \\S+Z, version \\S+\n` +
          ' {2}\\d+ {2}\\S+, process \\d+, .*, worker 1 of this folder\nProbe \\(Attempt\\) has been paused .*: deploy\\.\n$',
      ),
    )
    expect(JSON.parse((await inHost(url, 'status', '--json')).stdout)).toMatchObject({
      workers: [{ state: 'running' }],
      alive: [{ pid: other.pid, uid: null }, { uid: '1' }],
      pauses: [{ model: 'Attempt', target: 'Probe', method: '*', reason: 'deploy' }],
    })
    const cut = await inHost('postgresql://me@127.0.0.1:1/none', 'status')
    expect(cut).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(
        /^1 {2}running .*\n.* were not read \(DATABASE_UNREACHABLE\): The database "none" on 127\.0\.0\.1:1 /,
      ),
    })
    await inHost(url, 'stop')
    rmSync(folder, { recursive: true })
  })

  it.each([
    [['shwo'], 'Unknown subcommand "shwo" of attempts'],
    [['show'], 'attempts show needs the id of an attempt'],
    [['show', 'abc'], '"abc" is not the id of an attempt'],
    [['pauses', '2'], 'Unexpected argument "2"'],
    [['pause', 'Prboe'], 'No target is called "Prboe"'],
    [['pause', 'Probe.palin'], 'has no method "palin"'],
    [['pause', 'Probe', '--all'], 'Give either a target or --all'],
    [['pause', '--method', 'plain'], '--method needs a target'],
    [['pause', 'Probe', '--until', '2020-01-01'], 'until is 2020-01-01T00:00:00.000Z. It must be a time in the future'],
    [['pause', 'Probe', '--until', '-1h'], '--until is "-1h". It must be a length of time without a sign (30m, 1d)'],
    [['--since', '1d', '--before', '2d'], 'Nothing lies between --since 1d ('],
    [['reschedule', '1'], 'When should they run? Give --to'],
    [['show', '1', '--failed'], 'attempts show has no option --failed'],
    [['--status', 'faild'], '--status is "faild". It must be one or several of: pending, blocked, running'],
    [['--faild'], 'Unknown option --faild. Did you mean --failed?'],
    [['--since', 'yesterday'], '--since is "yesterday". It must be a length of time without a sign'],
    [['--since', '1000'], '--since is "1000"'],
    [['--since', '2026-13-45'], '--since is "2026-13-45"'],
    [['--limit', '0'], '--limit is "0"'],
    [['--target', ''], '--target needs a value'],
    [['--model', 'Nobody'], 'No class of attempts has the model "Nobody". There is: Attempt.'],
    [['retry'], 'Which attempts? Give ids, or filters'],
    [['retry', '1', '--failed'], 'Give either ids or filters, not both'],
    [['retry', '--running', '--yes'], 'It must be one or several of: failed, expired, cancelled'],
    [['retry', '--failed', '--uid', '1'], 'attempts has no option --uid'],
  ])('rejects %j as wrong usage', async (args, message) => {
    const { code, stderr, stdout } = await attempts(...args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
    expect(await json(...args)).toMatchObject({ code: 2, version: 1, error: { code: 'USAGE' } })
  })

  it('prints hostile rows on one line each, without control characters, and whole and valid as JSON', async () => {
    const nasty = '\u001b[2J\u001b]0;owned\u0007 \u202eevil\u2066 \u009b31m\r\nnext\tline \u0085 \ufeff'
    const huge = await insert({ args: JSON.stringify(['x'.repeat(8_000_000)]) })
    const nested = `${'['.repeat(3000)}${']'.repeat(3000)}`
    const deep = await insert({ args: `[${nested}, [${'1,'.repeat(300_000)}1]]` })
    const rows = [
      await insert({ ...failure(nasty), target: nasty.replaceAll('\u0000', ''), method: nasty }),
      await insert({ errors: '"no list"' }),
      await insert({ errors: JSON.stringify([1, null, { name: [], message: { a: nasty }, stack: 5, cause: 'x' }]) }),
      await insert({ errors: JSON.stringify([{ errors: [{ name: 'A', message: nasty }, 7], message: 'both' }]) }),
      await insert({ args: JSON.stringify({ json: 1 }), scheduled_at: 'infinity', created_at: '-infinity' }),
      await insert({ args: JSON.stringify([nasty, '\ud83d\ude00']), progress: 'NaN', progress_message: nasty }),
      deep,
      huge,
    ]
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is these that must not be printed
    const controls = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/
    const list = await attempts()
    expect(list.code, list.stderr).toBe(0)
    expect(list.stdout).not.toMatch(controls)
    expect(list.stdout.trimEnd().split('\n')).toHaveLength(rows.length + 1)
    for (const id of rows) {
      const { stdout, code, stderr } = await attempts('show', id)
      expect(code, stderr).toBe(0)
      expect(stdout).not.toMatch(controls)
      expect(stdout.length).toBeLessThan(20_000)
    }
    const all = JSON.parse((await program('--json')).stdout)
    const byId = new Map(all.attempts.map((each: { id: string }) => [each.id, each]))
    expect(deepArgs(byId.get(deep))).toBe(300_001)
    expect(byId.get(huge)).toMatchObject({ args: ['x'.repeat(8_000_000)] })
    expect(byId.get(rows[0])).toMatchObject({ target: nasty, errors: [{ message: nasty }] })
    expect(byId.get(rows[5])).toMatchObject({ args: [nasty, '\ud83d\ude00'] })
  })

  it('ends without an error if its reader closes the pipe', async () => {
    await insert({ args: JSON.stringify(['x'.repeat(2_000_000)]) })
    const shell = `"${process.execPath}" "${BIN}" attempts --json --worker "${HOST}" | head -c 10`
    const { stdout, stderr } = await run(REPOSITORY, 'bash', ['-c', shell], { env: { DATABASE_URL: url } })
    expect(stdout).toBe('{"version"')
    expect(stderr).toBe('')
  })

  it.each([
    [
      'the server cannot be reached',
      () => 'postgresql://me@127.0.0.1:1/none',
      'DATABASE_UNREACHABLE',
      /"none" on 127\.0\.0\.1:1 .* ECONNREFUSED/,
    ],
    [
      'the host does not exist',
      () => 'postgresql://me@no-such-host.invalid/none',
      'DATABASE_UNREACHABLE',
      /no-such-host\.invalid:5432/,
    ],
    [
      'the server has no such database',
      () => url.replace(/\/[^/]*$/, '/nothing'),
      'DATABASE_ABSENT',
      /has no database "nothing"/,
    ],
    [
      'the role may not log in',
      () => url.replace('://', '://').replace(/\/\/[^@]*@/, '//nobody:wrong@'),
      'DATABASE_LOGIN_FAILED',
      /the user "nobody"/,
    ],
    ['the migrations have not run', () => empty, 'NOT_MIGRATED', /npx prisma migrate deploy/],
  ])('fails with a code and without a stack if %s', async (_, database, code, message) => {
    const host = hostWith(database())
    for (const args of [[], ['pauses']]) {
      const { code: exitCode, stdout, stderr } = await attemptsOf(host, ...args)
      expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' })
      expect(stderr).toMatch(message)
      expect(stderr.trimEnd().split('\n')).toHaveLength(1)
      expect(JSON.parse((await attemptsOf(host, ...args, '--json')).stdout)).toMatchObject({ error: { code } })
    }
  })

  it('and `clear` fail likewise as programs', async () => {
    const failing = (database: string, ...args: string[]) =>
      run(REPOSITORY, process.execPath, [BIN, ...args], { env: { DATABASE_URL: database }, exitCodes: [1] })
    const unreachable = 'postgresql://me@127.0.0.1:1/none'
    expect(await failing(unreachable, 'attempts', '--worker', HOST)).toMatchObject({
      stdout: '',
      stderr: expect.stringMatching(/^The database "none" on 127\.0\.0\.1:1 .* ECONNREFUSED.*\n$/),
    })
    const clear = async (database: string) => JSON.parse((await failing(database, 'clear', HOST, '--json')).stdout)
    expect(await clear(unreachable)).toMatchObject({ error: { code: 'DATABASE_UNREACHABLE' } })
    expect(await clear(empty)).toMatchObject({ error: { code: 'NOT_MIGRATED' } })
  })
})

/** The worker module of a copy of the host that is bound to another database. */
function hostWith(database: string): string {
  const folder = mkdtempSync(`${dirname(HOST_IN_PROCESS)}-`)
  onTestFinished(() => rmSync(folder, { recursive: true }))
  cpSync(dirname(HOST_IN_PROCESS), folder, { recursive: true })
  const bound = readFileSync(join(folder, 'database.js'), 'utf8')
  writeFileSync(join(folder, 'database.js'), bound.replace('process.env.DATABASE_URL', JSON.stringify(database)))
  return join(folder, 'worker.js')
}

/** How many numbers the second argument has. */
function deepArgs(attempt: unknown): number {
  return (attempt as { args: [unknown, number[]] }).args[1].length
}

/** Runs the command on a terminal of its own, and types an answer. */
async function onTerminal(answer: string, ...args: string[]): Promise<{ code: number | null; text: string }> {
  const line = [process.execPath, BIN, 'attempts', ...args, '--worker', HOST].join(' ')
  const child = spawn('script', ['-qefc', `stty cols 100; ${line}`, '/dev/null'], {
    cwd: REPOSITORY,
    env: { ...childEnv({ DATABASE_URL: url }), TERM: 'xterm', COLUMNS: '200' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (printed: string) => {
    text += printed
    if (printed.includes('[y/N]')) child.stdin.write(answer)
  })
  await once(child, 'close')
  return { code: child.exitCode, text }
}
