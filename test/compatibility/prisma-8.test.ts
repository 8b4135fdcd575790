import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { installedAsyncGen, installHost, REPOSITORY } from '../support/host.js'
import { createDatabase, query } from '../support/postgres.js'
import { prisma8 } from '../support/prisma.js'
import { run } from '../support/run.js'
import { applyEdit, closeStages, type Edit, playScene } from '../support/team.js'
import { startWorker, type WorkerProcess } from '../support/worker.js'

const edits: Edit[] = [
  {
    file: 'src/async/targets.ts',
    changes: [
      [
        `import { defineTargets } from '@async-gen/runtime'\n`,
        `import { defineTargets } from '@async-gen/runtime'\nimport { OrderClient } from '../order-client.js'\n`,
      ],
      ['  // OrderClient,\n', '  OrderClient,\n'],
    ],
  },
  {
    file: 'src/async/toasts.ts',
    changes: [
      [
        'export {}\n',
        `import { hasToast } from '@async-gen/runtime'
import { db as client } from '../prisma/db.js'
import { db } from './database.js'

export const totals = hasToast(db, 'Customer', 'totals', {
  compute: async (customer) => {
    const orders = await client.orm.public.Order.where({ customerId: customer.id }).all()
    return { name: customer.name, spent: orders.reduce((sum, { totalCents }) => sum + totalCents, 0) }
  },
})

export const label = hasToast(db, 'Order', 'label', { id: 'number', compute: async ({ status }) => ({ status }) })\n`,
      ],
    ],
  },
  {
    file: 'src/async/reports/monthly_sales.ts',
    changes: [
      ['export class MonthlySales extends Report {', 'export class MonthlySales extends Report<{ month: string }> {'],
      ['    return { total: 0 }\n', '    return { month: this.args.month, total: 42 }\n'],
    ],
  },
]

/** The triggers that make toasts stale. */
const TRIGGERS = `
  SELECT tgrelid::regclass::text AS table, count(*)::int AS triggers
  FROM pg_trigger WHERE tgname LIKE 'toasts\\_invalidate%' GROUP BY 1 ORDER BY 1`

describe('a shop on Prisma 8, which is a preview', () => {
  const dir = mkdtempSync(join(tmpdir(), 'async-gen-prisma-8-'))
  let env: { DATABASE_URL: string }
  let worker: WorkerProcess | undefined

  const rows = (sql: string, values?: unknown[]) => query(env.DATABASE_URL, sql, values)
  const play = (scene: string, ...args: (string | number)[]) => playScene(dir, env, scene, ...args)

  beforeAll(async () => {
    env = { DATABASE_URL: await createDatabase(inject('postgres')) }
    cpSync(join(REPOSITORY, 'test', 'hosts', 'prisma-8'), dir, { recursive: true })
    await installHost(dir)
  }, 600_000)

  afterAll(async () => {
    await closeStages()
    await worker?.stop()
    rmSync(dir, { recursive: true, force: true })
  })

  describe('the generators', () => {
    it('refuse to write before the contract of the host has a migration, and say how to plan one', async () => {
      const { stderr } = await installedAsyncGen(dir, ['install', '--yes'], { exitCodes: [4] })
      expect(stderr).toContain('CONTRACT_NOT_PLANNED')
      expect(stderr).toContain('npx prisma migration plan --name init')
      await prisma8(dir, ['contract', 'emit'], { env })
      await prisma8(dir, ['migration', 'plan', '--name', 'init'], { env })
    })

    it.each([
      ['has changed since its last migration', (text: string) => `${text}\nmodel Note {\n  id Int @id\n}\n`],
      ['is empty now', () => '// use prisma-8\n'],
    ])('refuse a contract that %s, and say how to plan that', async (_what, change) => {
      const { stderr } = await withContract(change, () =>
        installedAsyncGen(dir, ['install', '--yes'], { env, exitCodes: [4] }),
      )
      expect(stderr).toContain('CONTRACT_NOT_PLANNED')
      expect(stderr).toContain('npx prisma migration plan --name <name>')
    })

    it('would add the first migration to an application that has no models yet', async () => {
      renameSync(join(dir, 'migrations'), join(dir, 'later'))
      const { stdout } = await withContract(
        () => '// use prisma-8\n',
        () => installedAsyncGen(dir, ['install', '--diff', '--json'], { env }),
      )
      renameSync(join(dir, 'later'), join(dir, 'migrations'))
      expect(JSON.parse(stdout).diff).toContain('+  "from": null,')
    })

    it('add their models to the contract, and migrations in the format of Prisma 8', async () => {
      for (const args of [['install'], ['attempt'], ['reports', 'MonthlySales']])
        await installedAsyncGen(dir, [...args, '--yes'], { env })

      const contract = readFileSync(join(dir, 'src/prisma/contract.prisma'), 'utf8')
      expect(contract).not.toContain('AsyncGenMigration')
      expect(contract).toContain('model Attempt {')
      expect(contract).toContain('status           pg.enum(AttemptStatus)')
      const packages = readdirSync(join(dir, 'migrations/app')).filter((name) => /^\d/.test(name))
      expect(packages.map((name) => name.replace(/^\d{8}T\d{4}_/, '')).sort()).toEqual([
        'create_attempts',
        'create_reports',
        'create_toasts',
        'init',
      ])
      await prisma8(dir, ['migration', 'check'], { env })
    })

    it('change nothing when they run again', async () => {
      const { stdout } = await installedAsyncGen(dir, ['attempt', '--yes', '--check'], { env })
      expect(stdout).toMatch(/identical {2}migrations\/app\/\w+_create_attempts\/migration\.sql$/m)
      await installedAsyncGen(dir, ['upgrade', '--yes', '--check'], { env })
    })

    it('name a migration after a later minute if there is one of its minute and name', async () => {
      const taken = [0, 1].map((minutes) => `${minuteIn(minutes)}_create_others`)
      for (const name of taken) mkdirSync(join(dir, 'migrations/app', name))
      const { stdout } = await installedAsyncGen(dir, ['attempt', 'Other', '--diff', '--json'], { env })
      for (const name of taken) rmSync(join(dir, 'migrations/app', name), { recursive: true })
      const [, folder] = /^\+\+\+ b\/migrations\/app\/(\w+)\/migration\.json$/m.exec(JSON.parse(stdout).diff)!
      expect(folder).toMatch(/_create_others$/)
      expect(folder! > taken[1]!).toBe(true)
    })

    it('do not write a deleted migration again', async () => {
      const folder = packageOf('create_attempts')
      renameSync(folder, join(dir, 'deleted'))
      const { stdout } = await installedAsyncGen(dir, ['attempt', '--yes', '--check'], { env })
      renameSync(join(dir, 'deleted'), folder)
      expect(stdout).toMatch(/removed {2}migrations\/app\/\w+_create_attempts\/migration\.sql /m)
    })

    it('refuse to write a contract that Prisma refuses', async () => {
      const templates = join(dir, '.async-gen/templates')
      mkdirSync(join(templates, 'attempt'), { recursive: true })
      writeFileSync(join(templates, 'attempt/schema.prisma.hbs'), 'model Attempt {\n  id Nothing @id\n}\n')
      const { stderr } = await installedAsyncGen(dir, ['attempt', '--yes'], { env, exitCodes: [4] })
      rmSync(templates, { recursive: true })
      expect(stderr).toContain('CONTRACT_INVALID')
      expect(stderr).toContain('Nothing')
    })

    it('write what Prisma 8 applies and finds in the database, and emits without a change', async () => {
      await prisma8(dir, ['contract', 'emit'], { env })
      await prisma8(dir, ['db', 'migrate', '--advance-ref', 'db'], { env })
      await prisma8(dir, ['db', 'verify', '--strict'], { env })
      const { stdout } = await prisma8(dir, ['migration', 'plan', '--json'], { env })
      expect(stdout).toContain('"noOp":true')
    })

    it('write a migration.ts that makes the same ops.json and migration.json', async () => {
      const folder = packageOf('create_attempts')
      const files = () => ['ops.json', 'migration.json'].map((name) => readFileSync(join(folder, name), 'utf8'))
      const before = files()
      await run(dir, process.execPath, ['--import', 'tsx', join(folder, 'migration.ts')], { env })
      expect(files()).toEqual(before)
    })

    it('write TypeScript that compiles under --strict with a few lines of the team', async () => {
      for (const edit of edits) applyEdit(dir, edit)
      await run(dir, join(dir, 'node_modules', '.bin', 'tsc'), ['--noEmit', '--singleThreaded'])
    })
  })

  describe('the runtime', () => {
    it('A1: a db.transaction that rolls back leaves neither the order nor the call', async () => {
      expect(await play('place-order', 1, 'decline')).toEqual({ error: 'The card was declined' })
      expect(await rows('SELECT FROM orders')).toEqual([])
      expect(await rows('SELECT FROM attempts')).toEqual([])
    })

    it('A1: the client is no transaction, a forgotten one is warned of, and an ended one records nothing', async () => {
      const { refused, late, warnings, notClients } = await play('mistakes')
      expect(refused).toBe('NOT_A_TRANSACTION')
      expect(new Set(notClients)).toEqual(new Set(['NOT_A_CLIENT']))
      expect(late).toBe('RUNTIME.TRANSACTION_CLOSED')
      expect(warnings.join()).toContain('outside of the transaction that is open')
      expect(await rows('SELECT status FROM attempts')).toEqual([{ status: 'cancelled' }])
    })

    it('A16: inRollback of the test kit runs calls in a transaction of the client, of which nothing stays', async () => {
      const before = await rows('SELECT id FROM attempts')
      expect(await play('rollback')).toEqual({
        order: 'fulfilled in run 2',
        status: 'succeeded',
        afterIds: 0,
        hasDate: true,
      })
      expect(await rows('SELECT id FROM attempts')).toEqual(before)
    })

    it('A1, A8, P5: a worker runs a call of db.transaction; a failed run undoes what it wrote through tx()', async () => {
      const { attempt, recordedAt } = await play('place-order', 2)
      expect(recordedAt).toBe(true)
      worker = startWorker(dir, env)
      await ended()
      expect(await play('read-attempt', attempt)).toEqual({
        status: 'succeeded',
        numAttempts: 2,
        result: { number: 2 },
        errors: ['The van broke down'],
      })
      expect(await rows('SELECT status FROM orders')).toEqual([{ status: 'fulfilled in run 2' }])
    })

    it('A9: statements that a failed call has left running in its transaction do not commit', async () => {
      const [{ id }] = await rows('SELECT id FROM customers')
      const { attempt } = await play('hurry', id)
      await ended()
      expect(await play('read-attempt', attempt)).toMatchObject({ status: 'failed', errors: ['No time'] })
      expect(await rows('SELECT number FROM orders WHERE number >= 100')).toEqual([])
    })

    it('A9: a statement that a middleware delays does not commit after the rollback or the timeout', async () => {
      const [{ id }] = await rows('SELECT id FROM customers')
      await play('delayed', id, 700)
      expect(await rows('SELECT number FROM orders WHERE number >= 700')).toEqual([])
    })

    it('T4, T5: a toast of a model of the contract is computed, and stale when its record changes', async () => {
      const [{ id }] = await rows('SELECT id FROM customers')
      expect(await play('totals', id)).toEqual({ error: 'Data not yet available' })
      await refreshed('Customer.totals')
      expect(await play('totals', id)).toMatchObject({ name: 'Goldilocks', spent: 4200 })
      await play('touch', id)
      expect(await play('totals', id)).toMatchObject({ spent: 4200, toastr: { stale: true } })
    })

    it('T5: a toast is stale when a record changes whose times are texts, in sessions of any time zone', async () => {
      const inKolkata = { DATABASE_URL: `${env.DATABASE_URL}?options=-c%20TimeZone=Asia/Kolkata` }
      await play('label', 2)
      await refreshed('Order.label')
      for (const session of [env, inKolkata]) {
        expect(await playScene(dir, session, 'label', 2)).toMatchObject({ toastr: { stale: false } })
      }
      await play('ship', 2)
      expect(await play('label', 2)).toMatchObject({ toastr: { stale: true } })
    })

    it('T15: a report is built by the worker', async () => {
      expect(await play('monthly-sales')).toEqual({ error: 'Data not yet available' })
      await refreshed('MonthlySales.build')
      expect(await play('monthly-sales')).toMatchObject({ month: 'January', total: 42 })
    })

    it('the worker ends by itself, and in order, when it is told to', async () => {
      expect(await worker?.stop(), worker?.log()).toBe(0)
    })
  })

  describe('the commands that read what was generated', () => {
    it('doctor names the preview, and finds no problem in the project and its database', async () => {
      const { stdout } = await installedAsyncGen(dir, ['doctor', '--json'], { env, exitCodes: [0, 1, 5] })
      const codes = JSON.parse(stdout).findings.map(({ code }: { code: string }) => code)
      expect(codes.filter((code: string) => code !== 'PRISMA_NODE')).toEqual(['PRISMA_8_PREVIEW'])
    })

    it('doctor finds a contract.json that is missing, or that was emitted from another contract', async () => {
      const findings = async () =>
        JSON.parse((await installedAsyncGen(dir, ['doctor', '--json'], { env, exitCodes: [5] })).stdout).findings
      const json = join(dir, 'src/prisma/contract.json')
      const emitted = readFileSync(json, 'utf8')
      rmSync(json)
      expect(await findings()).toContainEqual(
        expect.objectContaining({ code: 'CONTRACT_OUTDATED', message: expect.stringContaining('does not exist') }),
      )
      writeFileSync(json, emitted.replace(/"storageHash": "[^"]*"/, '"storageHash": "another"'))
      expect(await findings()).toContainEqual(
        expect.objectContaining({ code: 'CONTRACT_OUTDATED', message: expect.stringContaining('another contract') }),
      )
      writeFileSync(json, emitted)
    })

    it('a migration that changes no model runs once, in this database and in a new one', async () => {
      const args = ['install', '--invalidate-on', 'Customer', 'Order.customer', '--yes']
      const { stdout: plan } = await installedAsyncGen(dir, args, { env })
      expect(plan).toMatch(/create {2}migrations\/app\/\w+_invalidate_\w+\/migration\.json$/m)
      expect(plan).toMatch(/update {2}src\/prisma\/contract\.prisma {2}\(async_gen_migrations\)$/m)
      const fresh = { DATABASE_URL: await createDatabase(inject('postgres')) }
      const name = new URL(fresh.DATABASE_URL).pathname.slice(1)
      await query(fresh.DATABASE_URL, `CREATE SCHEMA other; ALTER DATABASE "${name}" SET search_path = other, public`)
      await migrate()
      await prisma8(dir, ['db', 'migrate'], { env: fresh })
      for (const { DATABASE_URL } of [env, fresh]) {
        const found = await query(DATABASE_URL, TRIGGERS)
        expect(found).toEqual([
          { table: 'customers', triggers: 3 },
          { table: 'orders', triggers: 4 },
        ])
      }
      const { stdout } = await prisma8(dir, ['db', 'migrate', '--json'], { env })
      expect(stdout).toContain('"migrationsApplied":0')
    })

    it('T5: raw SQL makes the toasts of its record stale, after --invalidate-on', async () => {
      const [{ id }] = await rows('SELECT id FROM customers')
      await rows('UPDATE toasts SET epoch = value_epoch')
      expect(await play('totals', id)).toMatchObject({ toastr: { stale: false } })
      await rows('UPDATE orders SET total_cents = 1 WHERE customer_id = $1', [id])
      expect(await play('totals', id)).toMatchObject({ toastr: { stale: true } })
    })

    it('destroy drops the tables and their types, and what it has destroyed can be generated again', async () => {
      const { stderr } = await installedAsyncGen(dir, ['destroy', 'attempt', '--yes'], { env, exitCodes: [2] })
      expect(stderr).toContain('--migration drop')
      await installedAsyncGen(dir, ['destroy', 'attempt', '--migration', 'drop', '--yes'], { env })
      await migrate()
      expect(await rows(`SELECT to_regclass('attempts') AS table, to_regtype('"AttemptStatus"') AS type`)).toEqual([
        { table: null, type: null },
      ])
      // The folders of migrations are named by the minute, and this one has to come last.
      const minute = () => Math.floor(Date.now() / 60_000)
      const dropped = minute()
      await eventually('the next minute', async () => minute() > dropped)
      await installedAsyncGen(dir, ['attempt', '--yes'], { env })
      await migrate()
      expect(await rows('SELECT FROM attempts')).toEqual([])
    })

    it('a lost manifest does not make the generators write their migrations again', async () => {
      rmSync(join(dir, '.async-gen'), { recursive: true })
      const before = readdirSync(join(dir, 'migrations/app'))
      for (const args of [
        ['install', '--invalidate-on', 'Customer', 'Order.customer'],
        ['attempt'],
        ['reports', 'MonthlySales'],
      ])
        await installedAsyncGen(dir, [...args, '--yes'], { env, exitCodes: [0, 3] })
      expect(readdirSync(join(dir, 'migrations/app'))).toEqual(before)
    })
  })

  async function migrate() {
    await prisma8(dir, ['contract', 'emit'], { env })
    await prisma8(dir, ['db', 'migrate', '--advance-ref', 'db'], { env })
    await prisma8(dir, ['db', 'verify', '--strict'], { env })
  }

  function packageOf(name: string) {
    const folder = join(dir, 'migrations', 'app')
    return join(folder, readdirSync(folder).find((each) => each.endsWith(`_${name}`))!)
  }

  /** The time in the name of a migration that is made so many minutes from now. */
  function minuteIn(minutes: number) {
    return new Date(Date.now() + 60_000 * minutes).toISOString().slice(0, 16).replaceAll(/[-:]/g, '')
  }

  /** Runs something while the contract has another text. */
  async function withContract<Result>(change: (text: string) => string, run: () => Promise<Result>) {
    const file = join(dir, 'src/prisma/contract.prisma')
    const text = readFileSync(file, 'utf8')
    writeFileSync(file, change(text))
    try {
      return await run()
    } finally {
      writeFileSync(file, text)
    }
  }

  async function ended() {
    const left = () => rows(`SELECT FROM attempts WHERE status IN ('pending', 'running')`)
    await eventually('the end of the attempts', async () => (await left()).length === 0).catch(withLog)
  }

  async function refreshed(toast: string) {
    const due = () =>
      rows('SELECT FROM toasts WHERE name = $1 AND (refresh_at IS NOT NULL OR cached_at IS NULL)', [toast])
    await eventually(`the refresh of ${toast}`, async () => (await due()).length === 0).catch(withLog)
  }

  function withLog(error: Error): never {
    throw new Error(`${error.message} The worker's log:\n${worker?.log()}`)
  }
})
