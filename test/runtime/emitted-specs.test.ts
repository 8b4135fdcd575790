import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { connect } from '@async-gen/runtime'
import { requireTestDatabase } from '@async-gen/runtime/testing'
import pg from 'pg'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { presenceOf, releasePresence } from '../../runtime/src/presence/presence.js'
import { testDatabase } from '../support/database.js'
import { APP, REPOSITORY } from '../support/host.js'
import { createDatabase, query } from '../support/postgres.js'
import { run } from '../support/run.js'
import { runEmittedSpecs } from '../support/specs.js'

const url = await testDatabase()
const { prisma } = await import('../.app/src/db.js')

const runSpecs = (app = APP) => runEmittedSpecs(app, 'vitest', { env: { DATABASE_URL: url }, exitCodes: [0, 1] })

describe('the emitted specs', () => {
  it('pass beside a worker, and leave no rows', async () => {
    await query(
      url,
      `INSERT INTO attempts (target, method, status) VALUES ('Spec', 'greet', 'succeeded'), ('Factory', 'call', 'failed');
       INSERT INTO reports (type, key) VALUES ('MonthlySales', 'mine'), ('SpecReport', 'mine');
       INSERT INTO toasts (name, key) VALUES ('SpecReport.build', '0')`,
    )
    const before = await rows()
    const db = connect(prisma, { connectionString: url })
    const { announcePool } = await presenceOf(db)
    await announcePool('a-pool', ['attempt', 'refresh_report'])
    onTestFinished(async () => {
      await releasePresence(db)
      await db.close()
    })

    const { code, stdout, stderr } = await runSpecs()

    expect(code, stdout + stderr).toBe(0)
    expect(await rows()).toEqual(before)
  }, 120_000)

  it('compile and pass once the team has written its own report, hooks, targets and toasts', async () => {
    const app = mkdtempSync(`${APP}-written-`)
    cpSync(APP, app, { recursive: true })
    onTestFinished(() => rmSync(app, { recursive: true }))
    const edit = (file: string, text: (before: string) => string) =>
      writeFileSync(join(app, 'src/async', file), text(readFileSync(join(app, 'src/async', file), 'utf8')))
    edit('reports/monthly_sales.ts', () => WRITTEN_REPORT)
    edit('test/monthly_sales.test.ts', (before) => before.replace("{} as MonthlySales['args']", "{ month: '2026-01' }"))
    edit('targets.ts', () => WRITTEN_TARGETS)
    edit('toasts.ts', () => WRITTEN_TOASTS)
    edit('attempt.ts', (before) => before.replace('    await super.handlePerformError(error)', '    await this.fail()'))
    edit('attempt.ts', (before) => `${before.trimEnd().slice(0, -1)}${WRITTEN_HOOKS}}\n`)
    // Some teams fail a call at its first error.
    await query(url, 'ALTER TABLE attempts ALTER COLUMN max_attempts SET DEFAULT 1')

    const specs = await runSpecs(app)
    expect(specs.code, specs.stdout).toBe(0)
    const compiled = await run(app, join(REPOSITORY, 'node_modules', '.bin', 'tsc'), ['-p', app], {
      exitCodes: [0, 1, 2],
    })
    expect(compiled.stdout).toBe('')
  }, 120_000)
})

describe('requireTestDatabase', () => {
  it('accepts a database on this machine with old work', async () => {
    const db = databaseOn('localhost', url)
    await query(
      url,
      `INSERT INTO toasts (name, key, cached_at) VALUES ('oat.breakfast', '1', now() - interval '1 week')`,
    )
    await requireTestDatabase(db)
  })

  it('accepts a database elsewhere that is new, or whose name contains "test"', async () => {
    const fresh = await createDatabase(inject('postgres'), { template: 'template' })
    await requireTestDatabase(databaseOn('db.example.com', fresh))
    const named = await createDatabase(inject('postgres'), { name: 'shop_test', template: 'template' })
    await query(
      named,
      `INSERT INTO toasts (name, key, cached_at) VALUES ('oat.breakfast', '1', now() - interval '1 week')`,
    )
    await requireTestDatabase(databaseOn('db.example.com', named))
  })

  it('rejects a database elsewhere with older work', async () => {
    const used = await createDatabase(inject('postgres'), { template: 'template' })
    await query(
      used,
      `INSERT INTO toasts (name, key, cached_at) VALUES ('oat.breakfast', '1', now() - interval '2 hours')`,
    )
    await expect(requireTestDatabase(databaseOn('db.example.com', used))).rejects.toMatchObject({
      code: 'NOT_A_TEST_DATABASE',
      message: expect.stringMatching(
        /The table toasts of the database .* on db\.example\.com holds work of more than an hour ago\./,
      ),
    })
  })

  it('rejects any database if NODE_ENV is production', async () => {
    const before = process.env.NODE_ENV
    process.env.NODE_ENV = 'production'
    onTestFinished(() => {
      process.env.NODE_ENV = before
    })
    await expect(requireTestDatabase(databaseOn('localhost', url))).rejects.toMatchObject({
      code: 'NOT_A_TEST_DATABASE',
      message: 'NODE_ENV is "production". Specs write to the database. Unset NODE_ENV, or set it to "test".',
    })
  })

  /** The real server, under another host's name. */
  function databaseOn(host: string, connectionString: string) {
    const named = new URL(connectionString)
    const { hostname } = named
    named.hostname = host
    const stream = () => {
      const socket = new Socket()
      const dial = socket.connect.bind(socket) as (port: number, host: string) => Socket
      socket.connect = ((port: number) => dial(port, hostname)) as never
      return socket
    }
    const pool = new pg.Pool({ connectionString: named.href, stream } as pg.PoolConfig)
    onTestFinished(() => pool.end())
    return connect(prisma, { pool })
  }
})

function rows() {
  return query(
    url,
    `SELECT 'attempt' AS kind, id, target AS name FROM attempts
     UNION ALL SELECT 'report', id, type FROM reports
     UNION ALL SELECT 'toast', id, name FROM toasts
     ORDER BY 1, 2`,
  )
}

/** Reads the database, needs its arguments, returns another shape than the generated one, and has a policy of its own. */
const WRITTEN_REPORT = `import type { CachedToast } from '@async-gen/runtime'
import { db } from '../database.js'
import { Report } from '../report.js'

const during = (month: string) => ({ gte: new Date(\`\${month.trim()}-01\`) })

export class MonthlySales extends Report<{ month: string }> {
  static expireIf = async ({ parent, cachedAt }: CachedToast<MonthlySales>) =>
    (await db.prisma.attempt.count({ where: { createdAt: { ...during(parent.args.month), gt: cachedAt } } })) > 0

  override async build() {
    const rows = await db.prisma.attempt.findMany({ where: { createdAt: during(this.args.month) } })
    return { rows: rows.map(({ target }) => target), at: new Date() }
  }
}
`

const WRITTEN_TARGETS = `import { defineTargets } from '@async-gen/runtime'
import { OrderClient } from '../order-client.js'

export const targets = defineTargets(() => ({ OrderClient }))
`

const WRITTEN_TOASTS = `import { hasToast } from '@async-gen/runtime'
import { db } from './database.js'

export const label = hasToast(db, 'order', 'label', { compute: async (order) => \`Order \${order.number}\` })
`

const WRITTEN_HOOKS = `
  override async perform(options = {}) {
    if (process.env.CALLS === 'off') return false
    return await super.perform(options)
  }

  override retryDelay() {
    return 0
  }
`
