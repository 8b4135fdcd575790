import { join } from 'node:path/posix'
import { pathToFileURL } from 'node:url'
import type { Manifest } from '../changes/manifest.js'
import { readText } from '../host/files.js'
import type { Host } from '../host/inspect.js'
import type { Finding } from './finding.js'
import { pgOf } from './project.js'

/** What of pg is needed: the host's own is loaded, as the CLI brings none. */
interface Client {
  connect(): Promise<unknown>
  query(sql: string, parameters?: unknown[]): Promise<{ rows: Record<string, never>[] }>
  end(): Promise<void>
}

/** What is wrong in the database, where a URL is at hand. It reads, and changes nothing. */
export async function databaseFindings(host: Host, manifest: Manifest, url: string): Promise<Finding[]> {
  const pg = pgOf(host.root)
  if (!pg) return []
  const { default: module } = await import(pathToFileURL(pg).href)
  const client: Client = new module.Client({
    connectionString: url,
    connectionTimeoutMillis: 5000,
    statement_timeout: 5000,
  })
  try {
    await client.connect()
  } catch (error) {
    return [unreachable(error as Error)]
  }
  try {
    return [
      ...(await serverVersion(client)),
      ...(await migratedObjects(client, host, manifest)),
      ...(await sequenceHeadroom(client)),
      ...(await settings(client, url)),
    ]
  } finally {
    await client.end()
  }
}

function unreachable({ message }: Error): Finding {
  return {
    severity: 'warning',
    code: 'DATABASE_UNREACHABLE',
    message: `The database could not be looked at: ${message}`,
    where: 'DATABASE_URL',
    remedy: 'Start it, or name another: DATABASE_URL=postgres://… npx async-gen doctor',
  }
}

async function serverVersion(client: Client): Promise<Finding[]> {
  const { rows } = await client.query(`SELECT current_setting('server_version_num')::int / 10000 AS major`)
  const major = Number(rows[0]!.major)
  if (major >= 14) return []
  return [
    {
      severity: 'error',
      code: 'POSTGRES_VERSION',
      message: `The database is PostgreSQL ${major}; async-gen works on 14 and later.`,
      remedy: 'Upgrade the server.',
    },
  ]
}

/** Tables, columns, constraints and triggers that the migrations create. A table without its triggers is what `prisma db push` leaves. */
async function migratedObjects(client: Client, host: Host, manifest: Manifest): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const { folder } of Object.values(manifest.migrations)) {
    const where = join(host.migrations.path, folder, 'migration.sql')
    const sql = readText(host.root, where)
    if (sql === null) continue
    const missing = [
      ...(await absent(client, absentTables, named(sql, /^CREATE TABLE "([^"]+)"/gm))),
      ...(await absent(client, absentColumns, named(sql, /^ALTER TABLE "[^"]+" ADD COLUMN "([^"]+)"/gm))),
      ...(await absent(client, absentConstraints, named(sql, /^ALTER TABLE "[^"]+" ADD CONSTRAINT "([^"]+)"/gm))),
    ]
    if (missing.length > 0) {
      findings.push({
        severity: 'error',
        code: 'MIGRATION_PENDING',
        message: `The database lacks what this migration makes: ${missing.join(', ')}.`,
        where,
        remedy: `${host.packageManager.exec} prisma migrate deploy`,
      })
      continue
    }
    const triggers = named(sql, /^CREATE TRIGGER "([^"]+)"/gm)
    const lost = await absent(
      client,
      'SELECT name FROM unnest($1::text[]) AS name WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = name AND tgenabled <> $$D$$)',
      triggers,
    )
    if (lost.length === 0) continue
    findings.push({
      severity: 'error',
      code: 'TRIGGER_MISSING',
      message: `A trigger is missing, or disabled: ${lost.join(', ')}. Without it nothing is enqueued when a row is written.`,
      where,
      remedy: `Run the CREATE FUNCTION and CREATE TRIGGER statements of that migration, in a migration of their own: ${host.packageManager.exec} prisma migrate dev --create-only`,
    })
  }
  return findings
}

const absentTables = 'SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(quote_ident(name)) IS NULL'

const absentColumns = `
  SELECT name FROM unnest($1::text[]) AS name
  WHERE NOT EXISTS (SELECT FROM pg_attribute WHERE attname = name AND NOT attisdropped)`

const absentConstraints = `
  SELECT name FROM unnest($1::text[]) AS name
  WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conname = name)`

/** Graphile Worker 0.17 takes a value of an integer sequence at each enqueue, of jobs that are there already too. */
async function sequenceHeadroom(client: Client): Promise<Finding[]> {
  const { rows } = await client.query(`
    SELECT schemaname || '.' || sequencename AS name, round(100.0 * last_value / max_value) AS used
    FROM pg_sequences
    WHERE schemaname = 'graphile_worker' AND last_value > 0.5 * max_value
  `)
  return rows.map(({ name, used }) => ({
    severity: 'warning',
    code: 'SEQUENCE_HEADROOM',
    message: `The sequence ${name} is used up to ${used} %. At the end no job can be added.`,
    where: String(name),
    remedy:
      'On Node 22.18 and later: npm install graphile-worker@^0.18.0, which widens it. Until then: ALTER TABLE … ALTER COLUMN id TYPE bigint.',
  }))
}

async function settings(client: Client, url: string): Promise<Finding[]> {
  const { rows } = await client.query(`
    SELECT name, setting::int AS milliseconds
    FROM pg_settings
    WHERE name IN ('idle_session_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')
      AND setting::int > 0
  `)
  const timeouts = rows.filter(
    ({ name, milliseconds }) => String(name) === 'idle_session_timeout' || Number(milliseconds) < 60_000,
  )
  const { searchParams, port } = new URL(url)
  const pooled = searchParams.get('pgbouncer') === 'true' || port === '6543' || port === '6432'
  const limit = Number(searchParams.get('connection_limit') ?? Number.POSITIVE_INFINITY)
  return [
    ...timeouts.map(
      ({ name, milliseconds }): Finding => ({
        severity: 'warning',
        code: 'SESSION_TIMEOUT',
        message: `${name} is ${milliseconds} ms for this role: ${
          String(name) === 'idle_session_timeout'
            ? "it ends the session by which a worker is known to be alive, and the worker's work is taken from it"
            : 'a call that runs longer in its transaction is cut off, and made again'
        }.`,
        remedy: `ALTER ROLE <the worker's role> SET ${name} = 0`,
      }),
    ),
    ...(pooled
      ? [
          {
            severity: 'warning' as const,
            code: 'POOLER',
            message:
              'DATABASE_URL leads through a pooler. A worker holds a session lock and listens, which needs a session of its own.',
            remedy: 'Give the worker a direct URL (on Supabase and Neon: the one without the pooler).',
          },
        ]
      : []),
    ...(limit < 3
      ? [
          {
            severity: 'warning' as const,
            code: 'POOL_TOO_SMALL',
            message: `connection_limit is ${limit}. A call with a transaction of its own holds one connection while its attempt uses another.`,
            remedy: 'Raise it to the number of calls that run at once, and three more.',
          },
        ]
      : []),
  ]
}

function named(sql: string, pattern: RegExp): string[] {
  return [...sql.matchAll(pattern)].map((match) => match[1]!)
}

async function absent(client: Client, sql: string, names: string[]): Promise<string[]> {
  const { rows } = await client.query(sql, [names])
  return rows.map(({ name }) => String(name))
}
