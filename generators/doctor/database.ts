import type { Manifest } from '../changes/manifest.js'
import type { Client } from '../host/database.js'
import type { Host } from '../host/inspect.js'
import { clientSettings } from './client-settings.js'
import type { Finding } from './finding.js'
import { migrationFindings } from './migrations.js'

/** What is wrong in the database. It reads, and changes nothing. */
export async function databaseFindings(
  client: Client,
  url: string,
  host: Host,
  manifest: Manifest,
): Promise<Finding[]> {
  return [
    ...(await serverVersion(client)),
    ...(await migrationFindings(client, host, manifest)),
    ...(await failingToasts(client)),
    ...(await sequenceHeadroom(client)),
    ...poolSettings(url),
    ...(await clientSettings(client, host, manifest)),
  ]
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

/** A value that cannot be computed is served as it was, so that nobody notices. */
async function failingToasts(client: Client): Promise<Finding[]> {
  const { rows: tables } = await client.query(`SELECT FROM pg_class WHERE oid = to_regclass('toasts')`)
  if (tables.length === 0) return []
  const { rows } = await client.query<{ name: string; toasts: number; failures: number; error: string | null }>(`
    SELECT name, count(*)::int AS toasts, max(failures)::int AS failures,
      (array_agg(error->>'message' ORDER BY updated_at DESC))[1] AS error
    FROM toasts
    WHERE failures > 0
    GROUP BY name
    ORDER BY toasts DESC, name
    LIMIT 10
  `)
  return rows.map(({ name, toasts, failures, error }) => ({
    severity: 'warning',
    code: 'TOASTS_FAILING',
    message: `${toasts === 1 ? 'One toast' : `${toasts} toasts`} of ${name} cannot be computed, after up to ${failures} ${failures === 1 ? 'try' : 'tries'} in a row: ${error ?? 'no error was stored'}`,
    where: `toasts, name = '${name}'`,
    remedy: 'Fix what the method throws. The worker tries again by itself; the first success clears the error.',
  }))
}

/** Graphile Worker 0.17 takes a value of an integer sequence at each enqueue, of jobs that are there already too. */
async function sequenceHeadroom(client: Client): Promise<Finding[]> {
  const { rows } = await client.query<{ name: string; used: number }>(`
    SELECT schemaname || '.' || sequencename AS name, round(100.0 * last_value / max_value) AS used
    FROM pg_sequences
    WHERE schemaname = 'graphile_worker' AND last_value > 0.5 * max_value
  `)
  return rows.map(({ name, used }) => ({
    severity: 'warning',
    code: 'SEQUENCE_HEADROOM',
    message: `The sequence ${name} is used up to ${used} %. At the end no job can be added.`,
    where: name,
    remedy:
      'On Node 22.18 and later: npm install graphile-worker@^0.18.0, which widens it. Until then: ALTER TABLE … ALTER COLUMN id TYPE bigint.',
  }))
}

function poolSettings(url: string): Finding[] {
  const { searchParams, port } = new URL(url)
  const pooled = searchParams.get('pgbouncer') === 'true' || port === '6543' || port === '6432'
  const limit = Number(searchParams.get('connection_limit') ?? Number.POSITIVE_INFINITY)
  return [
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
