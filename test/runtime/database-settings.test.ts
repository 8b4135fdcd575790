import { BaseAttempt, connect, defineTargets, hasToast, isReady, sweep } from '@async-gen/runtime'
import { refreshNow } from '@async-gen/runtime/testing'
import { PrismaPg } from '@prisma/adapter-pg'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { harmfulSettings } from '../../runtime/src/worker/client-settings.js'
import { retentionPeriods } from '../../runtime/src/worker/retention.js'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { REPOSITORY } from '../support/host.js'
import { createDatabase, query } from '../support/postgres.js'
import { bundled } from '../support/programs.js'
import { startWorker } from '../support/worker.js'

const { PrismaClient } = await import('../.app/src/generated/prisma/client.js')

const settings = await query(inject('postgres').url, 'SELECT name FROM pg_settings')
/** Whether the server has a setting: `transaction_timeout` is new in PostgreSQL 17. */
const exists = (setting: string) => settings.some(({ name }) => setting.toLowerCase().startsWith(name.toLowerCase()))

const opened: { close: () => Promise<unknown> }[] = []
afterEach(() => Promise.all(opened.splice(0).map(({ close }) => close())))

/** A database of its own, with settings as `ALTER DATABASE … SET` makes them. */
async function databaseWith(settings: string[]) {
  const url = await createDatabase(inject('postgres'), { template: 'template' })
  const name = new URL(url).pathname.slice(1)
  await query(url, 'CREATE SCHEMA other')
  for (const setting of settings) await query(inject('postgres').url, `ALTER DATABASE "${name}" SET ${setting}`)
  return url
}

/** What a host has: its client, with that in PrismaPg's `options`, and a class of attempts. */
function hostOf(url: string, options = '') {
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, options }) })
  const db = connect(prisma, { connectionString: url })
  const Mail = {
    send: async (to: string) => `sent to ${to}`,
    fail: async () => {
      throw new Error('no such address')
    },
    async record(subject: string) {
      const tx = await Attempt.current().tx()
      await tx.newsletter.create({ data: { subject } })
    },
  }
  class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Mail }) }) {}
  opened.push({ close: () => Promise.all([prisma.$disconnect(), db.close()]) })
  return { prisma, db, Attempt, Mail }
}

/** Reads and writes the database as if nothing had been set. */
function rowsOf(url: string) {
  const settings = [
    'default_transaction_read_only=off',
    'search_path=public',
    'extra_float_digits=1',
    'idle_session_timeout=0',
    'statement_timeout=0',
    'transaction_timeout=0',
  ].filter(exists)
  const plain = `${url}?options=${encodeURIComponent(settings.map((setting) => `-c ${setting}`).join(' '))}`
  return (sql: string, values?: unknown[]) => query(plain, sql, values)
}

const when = new Date('2031-07-15T10:20:30.456Z')
const justNow = (time: Date | null) => expect(Math.abs(Date.now() - time!.getTime())).toBeLessThan(30_000)

/** Everything that the runtime does, with exact times. */
async function everythingWorks(url: string, options?: string) {
  const { prisma, db, Attempt, Mail } = hostOf(url, options)
  const rows = rowsOf(url)
  const dueAt = async (id: bigint) => {
    const sql = 'SELECT (extract(epoch FROM scheduled_at) * 1000)::float8 AS ms FROM attempts WHERE id = $1'
    return new Date((await rows(sql, [id]))[0].ms)
  }
  const call = {
    target: Mail,
    method: 'send' as const,
    args: ['Ada'] as [string],
    scheduledAt: when,
    idempotenceToken: 'once',
  }

  const plain = await Attempt.schedule(when, Mail).send('Eve')
  const within = () => prisma.$transaction(async (tx) => await Attempt.create(call, { tx }))
  const [recorded, again] = [await within(), await within()]
  expect(again).toMatchObject({ id: recorded.id, duplicate: true })
  for (const attempt of [plain, recorded, again, (await Attempt.find(recorded.id))!]) {
    expect(attempt.scheduledAt).toEqual(when)
    justNow(attempt.createdAt)
    justNow(attempt.updatedAt)
    expect(await dueAt(attempt.id)).toEqual(when)
  }

  const due = await prisma.$transaction(async (tx) => await Attempt.async(Mail, { tx }).record('written by a call'))
  justNow(due.scheduledAt)
  expect(await due.perform()).toBe(true)
  expect(await due.reload()).toMatchObject({ status: 'succeeded', numAttempts: 1 })
  for (const time of [due.startedAt, due.completedAt]) justNow(time)
  expect(await prisma.newsletter.count()).toBe(1)

  const failing = await Attempt.create({ target: Mail, method: 'fail', maxAttempts: 1 })
  await failing.perform()
  expect(failing).toMatchObject({ status: 'failed', errors: [{ message: 'no such address' }] })
  justNow(new Date(failing.errors[0]!.at))

  const oat = await prisma.oat.create({ data: { name: 'steel-cut' } })
  // Where DateStyle is not ISO, Prisma does not read the time of the last update.
  const policy = Number.isNaN(oat.updatedAt.getTime()) ? { expireIn: '1 day' as const } : {}
  const breakfast = hasToast(db, 'oat', 'breakfast', { compute: ({ name }) => ({ name }), ...policy })
  expect(await breakfast(oat)).toEqual({ error: 'Data not yet available' })
  await refreshNow(db, breakfast, oat)
  const inside = await prisma.$transaction(async (tx) => await breakfast(oat, { tx }))
  for (const reading of [await breakfast(oat), inside]) {
    expect(reading).toMatchObject({ name: 'steel-cut', toastr: { stale: false } })
    if (isReady(reading)) justNow(reading.toastr.cached_at)
  }
  const reading = await prisma.$transaction(async (tx) => await breakfast.many([oat, oat], { tx }))
  for (const each of reading) if (isReady(each)) justNow(each.toastr.cached_at)

  await rows('DELETE FROM graphile_worker._private_jobs')
  const lost = await Attempt.async(Mail).send('Ada')
  await rows('DELETE FROM graphile_worker._private_jobs')
  expect(await sweep(db)).toMatchObject({ enqueued: 1 })
  expect(await lost.perform()).toBe(true)
  await rows(`UPDATE attempts SET completed_at = completed_at - interval '1 day' WHERE status = 'succeeded'`)
  expect(await Attempt.store.prune(retentionPeriods({ succeeded: '1 hour', ended: '1 day' }))).toBe(2)
}

describe('all works, with times exact to the millisecond, in a database with the setting', () => {
  it.each([
    "timezone = 'Asia/Tokyo'",
    "timezone = 'America/New_York'",
    "timezone = 'Asia/Kolkata'",
    "datestyle = 'German'",
    "datestyle = 'SQL, DMY'",
    "intervalstyle = 'iso_8601'",
    "intervalstyle = 'sql_standard'",
    "default_transaction_isolation = 'serializable'",
    "default_transaction_isolation = 'repeatable read'",
    'default_transaction_deferrable = on',
    'row_security = off',
    'standard_conforming_strings = off',
    "bytea_output = 'escape'",
    'extra_float_digits = -15',
    'array_nulls = off',
  ])('%s', async (setting) => {
    await everythingWorks(await databaseWith([setting]))
  })

  // With these the PrismaClient itself cannot work, until it is given other settings.
  const withOptions = [
    ['default_transaction_read_only = on', '-c default_transaction_read_only=off'],
    ["search_path = 'other'", '-c search_path=public'],
    ['statement_timeout = 1', '-c statement_timeout=0'],
    ['lock_timeout = 1', '-c lock_timeout=0'],
    ['idle_in_transaction_session_timeout = 1', '-c idle_in_transaction_session_timeout=0'],
    ['transaction_timeout = 1', '-c transaction_timeout=0'],
    ['idle_session_timeout = 1', '-c idle_session_timeout=0'],
  ] as const
  it.each(withOptions.filter(([setting]) => exists(setting)))(
    '%s, with PrismaPg given the options %s',
    async (setting, options) => {
      await everythingWorks(await databaseWith([setting]), options)
    },
  )

  it('all of them at once', async () => {
    const settings = [
      "timezone = 'Asia/Tokyo'",
      "datestyle = 'German'",
      "intervalstyle = 'iso_8601'",
      "default_transaction_isolation = 'serializable'",
      'default_transaction_read_only = on',
      'statement_timeout = 1',
      'lock_timeout = 1',
      'idle_in_transaction_session_timeout = 1',
      'transaction_timeout = 1',
      'idle_session_timeout = 1',
      "search_path = 'other'",
    ].filter(exists)
    const options = [
      'default_transaction_read_only=off',
      'statement_timeout=0',
      'lock_timeout=0',
      'idle_in_transaction_session_timeout=0',
      'transaction_timeout=0',
      'idle_session_timeout=0',
      'search_path=public',
    ].filter(exists)
    await everythingWorks(await databaseWith(settings), options.map((option) => `-c ${option}`).join(' '))
  })
})

it('A16: a pending row of the emitted factory is not due in any time zone of the database', async () => {
  const url = await testDatabase()
  const name = new URL(url).pathname.slice(1)
  await query(url, `ALTER DATABASE "${name}" SET timezone = 'America/New_York'`)
  const { attemptFactory } = await import('../.app/src/async/attempt.factory.js')
  const { id } = await attemptFactory.pending()
  const sql = `SELECT scheduled_at > now() + interval '12 hours' AS later FROM attempts WHERE id = $1`
  expect(await query(url, sql, [id])).toEqual([{ later: true }])
})

describe("harmful settings of the PrismaClient's sessions", () => {
  const harmful: [setting: string, name: string, fix?: string][] = [
    ["timezone = 'Asia/Tokyo'", 'TimeZone', 'TimeZone=UTC'],
    ["timezone = 'Europe/London'", 'TimeZone', 'TimeZone=UTC'],
    ["datestyle = 'German'", 'DateStyle', 'DateStyle=ISO'],
    ['default_transaction_read_only = on', 'default_transaction_read_only', 'default_transaction_read_only=off'],
    ["default_transaction_isolation = 'serializable'", 'default_transaction_isolation'],
    ["search_path = 'other'", 'search_path', 'search_path=public'],
    ['statement_timeout = 900', 'statement_timeout', 'statement_timeout=0'],
    ['lock_timeout = 900', 'lock_timeout', 'lock_timeout=0'],
    [
      'idle_in_transaction_session_timeout = 900',
      'idle_in_transaction_session_timeout',
      'idle_in_transaction_session_timeout=0',
    ],
    ['transaction_timeout = 900', 'transaction_timeout', 'transaction_timeout=0'],
    ['idle_session_timeout = 900', 'idle_session_timeout', 'idle_session_timeout=0'],
    ["session_replication_role = 'replica'", 'session_replication_role', 'session_replication_role=origin'],
  ]
  it.each(harmful.filter(([setting]) => exists(setting)))(
    '%s is found, and its fix is one',
    async (setting, name, fix) => {
      const url = await databaseWith([setting])
      const { prisma, db } = hostOf(url)
      await prisma.newsletter.count()
      const [found, ...others] = await harmfulSettings(db)
      expect([found?.setting, others]).toEqual([name, []])
      if (!fix) return
      expect(found!.remedy).toContain(`-c ${fix.split('=')[0]}=`)
      expect(await harmfulSettings(hostOf(url, `-c ${fix}`).db)).toEqual([])
    },
  )

  it('are not found with the defaults of PostgreSQL, nor with harmless settings', async () => {
    expect(await harmfulSettings(hostOf(await databaseWith([])).db)).toEqual([])
    const harmless = [
      "intervalstyle = 'iso_8601'",
      "timezone = 'Etc/GMT'",
      "statement_timeout = '30s'",
      'row_security = off',
    ]
    expect(await harmfulSettings(hostOf(await databaseWith(harmless)).db)).toEqual([])
  })

  it('are logged when the first job of a worker starts', async () => {
    const url = await databaseWith(["timezone = 'Asia/Tokyo'"])
    const worker = startWorker(REPOSITORY, { DATABASE_URL: url }, bundled('test/chaos/host/worker.ts'))
    try {
      await query(url, `INSERT INTO attempts (target, method) VALUES ('Unknown', 'none')`)
      await eventually('the warning', async () => worker.log().includes('TimeZone is Asia/Tokyo'), 60_000)
      expect(worker.log()).toContain("new PrismaPg({ connectionString, options: '-c TimeZone=UTC' })")
    } finally {
      await worker.stop()
    }
  })

  it("a worker runs what is recorded, whatever GRAPHILE_WORKER_SCHEMA names for the host's own queue", async () => {
    const url = await databaseWith([])
    const env = { DATABASE_URL: url, GRAPHILE_WORKER_SCHEMA: 'other' }
    const worker = startWorker(REPOSITORY, env, bundled('test/chaos/host/worker.ts'))
    try {
      await query(url, `INSERT INTO attempts (target, method) VALUES ('Unknown', 'none')`)
      const runs = () => query(url, `SELECT FROM attempts WHERE errors <> '[]'`)
      await eventually('the run', async () => (await runs()).length === 1, 20_000)
      expect(await query(url, `SELECT FROM pg_class WHERE relnamespace = 'other'::regnamespace`)).toEqual([])
    } finally {
      await worker.stop()
    }
  })

  it("with TimeZone=UTC in PrismaPg's options, the model API is exact as well", async () => {
    const { prisma, Attempt } = hostOf(await databaseWith(["timezone = 'Asia/Tokyo'"]), '-c TimeZone=UTC')
    const { id, scheduledAt } = await prisma.attempt.create({
      data: { target: 'Mail', method: 'send', scheduledAt: when },
    })
    expect([scheduledAt, (await Attempt.find(id))!.scheduledAt]).toEqual([when, when])
  })
})
