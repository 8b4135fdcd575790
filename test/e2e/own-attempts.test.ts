import { randomBytes } from 'node:crypto'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { assembleHost, asyncGen, installHost, REPOSITORY } from '../support/host.js'
import { createDatabase, query } from '../support/postgres.js'
import { prisma } from '../support/prisma.js'
import { run, SPEC_TIMEOUTS } from '../support/run.js'
import { addTeamFiles, applyEdit, closeStages, edits, playScene } from '../support/team.js'
import { startWorker, type WorkerProcess } from '../support/worker.js'

const columns = `  account String?
  fee     Decimal?
  ledger  BigInt?
  dueAt   DateTime? @map("due_at")
  seal    Bytes?
`

/** The edits of a team that adds columns to its attempts, and a subclass that the worker is to know. */
const ownEdits = [
  { file: 'prisma/schema.prisma', changes: [['model Attempt {\n', `model Attempt {\n${columns}`]] },
  {
    file: 'src/async/tasks/attempt.ts',
    changes: [
      [
        `import { Attempt } from '../attempt.js'\n`,
        `import { UrgentAttempt } from '../../urgent_attempt.js'\nimport { Attempt } from '../attempt.js'\n`,
      ],
      ['attemptTask(Attempt)', 'attemptTask(Attempt, [UrgentAttempt])'],
    ],
  },
  {
    file: 'src/async/email_attempt.ts',
    changes: [
      [
        '  encryptor,\n}) {\n',
        `  encryptor,
}) {
  override async cancel() {
    await super.cancel()
    console.log('the override of cancel was called')
  }
`,
      ],
    ],
  },
] satisfies typeof edits

describe('a team’s own attempts', () => {
  const dir = mkdtempSync(join(tmpdir(), 'async-gen-own-'))
  let env: { DATABASE_URL: string; ATTEMPT_KEY: string }
  let worker: WorkerProcess | undefined
  const rows = (sql: string, values?: unknown[]) => query(env.DATABASE_URL, sql, values)

  beforeAll(async () => {
    env = { DATABASE_URL: await createDatabase(inject('postgres')), ATTEMPT_KEY: randomBytes(32).toString('base64') }
    assembleHost('single', dir)
    await installHost(dir)
    for (const args of [
      ['install'],
      ['attempt'],
      ['attempt', 'EmailAttempt', '--encrypted'],
      ['reports', 'MonthlySales'],
    ]) {
      await asyncGen(dir, args)
    }
    addTeamFiles(dir)
    cpSync(join(REPOSITORY, 'test', 'hosts', 'own-attempts'), dir, { recursive: true })
    for (const edit of [...edits, ...ownEdits]) applyEdit(dir, edit)
    await prisma(dir, ['generate'], { env })
    await prisma(dir, ['migrate', 'deploy'], { env })
  }, 600_000)

  afterAll(async () => {
    await closeStages()
    await worker?.stop()
    rmSync(dir, { recursive: true, force: true })
  })

  it('A17, A21: compile, and leave schema and database in step', async () => {
    await run(dir, join(dir, 'node_modules/.bin/tsc'), ['--noEmit', '--strict', '--singleThreaded'])
    const against = ['--from-config-datasource', '--to-schema', 'prisma/schema.prisma', '--exit-code']
    const { stdout } = await prisma(dir, ['migrate', 'diff', ...against], { env })
    expect(stdout).toContain('No difference detected')
  })

  it('A16, A17: have specs that pass, each model its own', async () => {
    const { stdout } = await run(
      dir,
      join(dir, 'node_modules/.bin/vitest'),
      ['run', 'src/async/test/email_attempt.test.ts', ...SPEC_TIMEOUTS],
      { env },
    )
    expect(stdout).toMatch(/Test Files +1 passed \(1\)/)
  })

  it('A17, A21, A22: each model has table, task and trigger of its own; columns and subclasses work; one is encrypted', async () => {
    await rows(`INSERT INTO "Order" (number, "customerToken") VALUES (1, 'tok_7355608'), (2, 'tok_7355608')`)
    const own = await playScene(dir, { ...env, TZ: 'America/New_York' }, 'record-own')
    expect(own).toMatchObject({
      stored: true,
      read: [true, true, true],
      args: [{ customerToken: 'tok_7355608', orderNumber: 1 }],
    })
    expect(await rows('SELECT account FROM attempts WHERE id = $1', [own.attempt])).toEqual([{ account: 'acme' }])
    expect(JSON.stringify(await rows('SELECT args FROM email_attempts'))).not.toContain('tok_7355608')

    worker = startWorker(dir, env)
    const status = async (table: string, id: number) =>
      (await rows(`SELECT status, num_attempts FROM ${table} WHERE id = $1`, [id]))[0]
    const succeeded = { status: 'succeeded', num_attempts: 1 }
    await eventually('the calls of both tables', async () => {
      const [email, attempt] = [await status('email_attempts', own.email), await status('attempts', own.attempt)]
      return email.status === 'succeeded' && attempt.status === 'succeeded'
    }).catch((error: Error) => {
      throw new Error(`${error.message} The worker's log:\n${worker?.log()}`)
    })
    expect(await status('email_attempts', own.email)).toEqual(succeeded)
    expect(await status('attempts', own.attempt)).toEqual(succeeded)

    await eventually('the hook of the subclass', async () => (await status('attempts', own.urgent)).num_attempts >= 2)
    expect(await rows('SELECT DISTINCT subject FROM "Newsletter"')).toEqual([
      { subject: 'Urgent: OrderClient.fulfill failed' },
    ])
  })

  it('are found by async-gen-worker attempts, which decrypts only when asked, and calls their overrides', async () => {
    const attempts = (...args: string[]) =>
      run(dir, join(dir, 'node_modules/.bin/async-gen-worker'), ['attempts', ...args], { env, exitCodes: [0, 1, 2] })
    const several = await attempts()
    expect(several).toMatchObject({ code: 2, stdout: '' })
    expect(several.stderr).toContain('There are several models of attempts: Attempt, EmailAttempt. Choose one')

    const [{ id }] = await rows('SELECT id::text FROM email_attempts LIMIT 1')
    const show = ['show', id, '--model', 'EmailAttempt']
    expect((await attempts(...show)).stdout).toMatch(/^ {2}arguments {7}encrypted \(/m)
    expect((await attempts(...show, '--json')).stdout).not.toContain('tok_7355608')
    expect((await attempts(...show, '--decrypt')).stdout).toMatch(/^ {2}arguments {7}.*tok_7355608/m)
    const { stdout } = await attempts('--model', 'EmailAttempt', '--decrypt', '--json')
    expect(JSON.parse(stdout).attempts).toMatchObject([
      { id, model: 'EmailAttempt', args: [{ customerToken: 'tok_7355608', orderNumber: expect.any(Number) }] },
    ])

    const own = await attempts('--model', 'Attempt', '--json')
    const types = JSON.parse(own.stdout).attempts.map(({ type }: { type: string }) => type)
    expect(types).toContain('Attempt')

    await worker?.stop()
    await rows(`UPDATE email_attempts SET status = 'pending', completed_at = NULL WHERE id = $1`, [id])
    expect(await attempts('cancel', id, '--model', 'EmailAttempt')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^the override of cancel was called\n\d+ {2}\S+ {2}cancelled\n$/),
    })
  })
})
