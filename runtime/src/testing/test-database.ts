import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { refuseUnknownOptions } from '../core/known-options.js'
import { onConnection, quoteName, type RunSql } from '../core/postgres/connection.js'
import { embeddedPostgres } from './embedded-postgres.js'
import { digestOfMigrations, type Migrations, migrate, readMigrations } from './migrations.js'
import { inProduction } from './preconditions.js'

export interface TestDatabaseOptions {
  /** The folder of Prisma's migrations. Default: `prisma/migrations` in the working directory. */
  migrations?: string
  /** A database of the server to copy as it is, in place of an empty one with the migrations: one with seed data, for example. */
  template?: string
}

export interface TestDatabase {
  url: string
  /** The same, so that `connect(prisma, database)` takes it. */
  connectionString: string
  /** Deletes the database, although it may have open connections. */
  drop(): Promise<void>
}

/**
 * Creates an empty database with all migrations, for one test file. The first call for a set of migrations runs them in a template; others
 * copy it, which takes a fraction of a second. Files that run at the same time do not meet. In a setup file of vitest, which runs before the
 * modules that read DATABASE_URL:
 *
 *     const database = await testDatabase()
 *     process.env.DATABASE_URL = database.url
 *     afterAll(() => database.drop())
 *
 * The server is that of DATABASE_URL, whose role may create databases. Without DATABASE_URL, the package `embedded-postgres` starts one for
 * this process, which ends when its last database is dropped. Databases of processes that were killed are deleted a day later, by a call that creates a template.
 *
 * @throws AsyncGenError NO_TEST_SERVER, NO_MIGRATIONS, MIGRATION_FAILED, UNKNOWN_OPTION, NOT_A_TEST_DATABASE if NODE_ENV is `production`
 */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  refuseUnknownOptions('testDatabase', options, ['migrations', 'template'])
  const { migrations: folder = 'prisma/migrations', template } = options
  if (process.env.NODE_ENV === 'production') throw inProduction('testDatabase() creates no database then.')
  const migrations = template === undefined ? readMigrations(folder) : undefined
  const given = process.env.DATABASE_URL
  const { url: server, release } = given ? { url: given, release: async () => {} } : await embeddedPostgres()
  const name = newName()
  const url = withName(server, name)
  const create = async (sql: RunSql) => {
    const source = migrations ? await templateFor(server, sql, migrations) : template!
    await copyDatabase(sql, source, name)
  }
  await onServer(server, create).catch(async (error) => {
    await release()
    throw error
  })
  const drop = async () => {
    await onServer(server, (sql) => dropDatabase(sql, name, 'WITH (FORCE)'))
    await release()
  }
  return { url, connectionString: url, drop }
}

/** The names of all databases that this module creates begin with it. */
const PREFIX = 'async_gen_test'

/** A name that says when the database was created. */
function newName(): string {
  return `${PREFIX}_${Math.floor(Date.now() / 1000).toString(36)}_${randomBytes(5).toString('hex')}`
}

/** The name of a database with these migrations, which is created if there is none. */
async function templateFor(server: string, sql: RunSql, migrations: Migrations): Promise<string> {
  const schema = schemaOf(server)
  const folder = createHash('sha256').update(migrations.folder).digest('hex').slice(0, 8)
  const name = `${PREFIX}_template_${folder}_${digestOfMigrations(migrations, schema)}`
  if (await exists(sql, name)) return name
  await sql(lockTemplates)
  try {
    if (!(await exists(sql, name))) await createTemplate(server, sql, name, migrations)
  } finally {
    await sql(unlockTemplates)
  }
  return name
}

/** The database gets its name when it is complete: a process that is killed leaves none that others would copy. */
async function createTemplate(server: string, sql: RunSql, name: string, migrations: Migrations): Promise<void> {
  const building = newName()
  await sql(`CREATE DATABASE ${quoteName(building)} TEMPLATE template0`)
  try {
    await migrate(withName(server, building), migrations, schemaOf(server))
    await sql(`ALTER DATABASE ${quoteName(building)} WITH ALLOW_CONNECTIONS false`)
    await untilUnused(() => sql(`ALTER DATABASE ${quoteName(building)} RENAME TO ${quoteName(name)}`))
  } catch (error) {
    await dropDatabase(sql, building, 'WITH (FORCE)')
    // Another process, which was connected to another database of the server and so did not wait, was faster.
    if ((error as { code?: string }).code !== DUPLICATE_DATABASE) throw error
  }
  const templatesOfFolder = name.slice(0, name.lastIndexOf('_') + 1)
  const outdated = await sql<{ name: string }>(findOutdated, [
    templatesOfFolder,
    name,
    `^${PREFIX}_[0-9a-z]+_[0-9a-f]{10}$`,
  ])
  for (const { name } of outdated.filter(isOutdated)) await dropDatabase(sql, name, '').catch(() => {})
}

/** A day old, by the time in its name; a template at once. */
function isOutdated({ name }: { name: string }): boolean {
  const created = Number.parseInt(name.slice(PREFIX.length + 1).split('_')[0]!, 36)
  return name.startsWith(`${PREFIX}_template_`) || created * 1000 < Date.now() - 86_400_000
}

async function copyDatabase(sql: RunSql, template: string, name: string): Promise<void> {
  await untilUnused(() => sql(`CREATE DATABASE ${quoteName(name)} TEMPLATE ${quoteName(template)}`))
}

async function dropDatabase(sql: RunSql, name: string, options: 'WITH (FORCE)' | ''): Promise<void> {
  await sql(`DROP DATABASE IF EXISTS ${quoteName(name)} ${options}`)
}

async function exists(sql: RunSql, name: string): Promise<boolean> {
  return (await sql('SELECT FROM pg_database WHERE datname = $1', [name])).length > 0
}

const DUPLICATE_DATABASE = '42P04'
const OBJECT_IN_USE = '55006'
const NO_SUCH_DATABASE = '3D000'

/** A connection that has just ended, or autovacuum, may still use the database. */
async function untilUnused(run: () => Promise<unknown>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return void (await run())
    } catch (error) {
      if ((error as { code?: string }).code !== OBJECT_IN_USE || tries === 50) throw error
      await sleep(100)
    }
  }
}

/** Connects to the database that the URL names, or to `postgres` if it does not exist. */
async function onServer<Result>(url: string, run: (sql: RunSql) => Promise<Result>): Promise<Result> {
  try {
    return await onConnection(url, run)
  } catch (error) {
    if ((error as { code?: string }).code !== NO_SUCH_DATABASE) throw error
    return await onConnection(withName(url, 'postgres'), run)
  }
}

/** The URL of another database. `URL` cannot parse all URLs of PostgreSQL: `postgresql:///shop?host=/run/postgresql`. */
function withName(url: string, name: string): string {
  return url.replace(/^([a-z]+:\/\/[^/?#]*)(?:\/[^?#]*)?/i, `$1/${name}`)
}

/** Prisma's URLs may name the schema of the tables. */
function schemaOf(url: string): string | undefined {
  const [, schema] = /[?&]schema=([^&#]*)/.exec(url) ?? []
  return schema === undefined || schema === 'public' ? undefined : decodeURIComponent(schema)
}

const lockTemplates = `SELECT pg_advisory_lock(hashtextextended('async-gen:templates', 0))::text`
const unlockTemplates = `SELECT pg_advisory_unlock(hashtextextended('async-gen:templates', 0))`

// $1 the beginning of the names of templates of the same folder, $2 the template that is used, $3 a pattern for databases of tests
const findOutdated = `
  SELECT datname AS name FROM pg_database
  WHERE (starts_with(datname, $1) AND datname <> $2) OR datname ~ $3`
