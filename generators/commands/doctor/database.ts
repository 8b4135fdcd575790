import type { Manifest } from '../../changes/manifest.js'
import type { DatabaseClient } from '../../host/database.js'
import type { Host } from '../../host/inspect.js'
import { clientSettings } from './client-settings.js'
import type { Finding } from './finding.js'
import { migrationFindings } from './migrations.js'
import { pauses } from './pauses.js'

/** The problems in the database. It changes nothing there. */
export async function databaseFindings(
  client: DatabaseClient,
  url: string,
  host: Host,
  manifest: Manifest,
): Promise<Finding[]> {
  return [
    ...(await serverVersion(client)),
    ...(await migrationFindings(client, host, manifest)),
    ...(await failingToasts(client)),
    ...(await pauses(client, host)),
    ...(await sequenceHeadroom(client)),
    ...poolSettings(url),
    ...(await clientSettings(client, host, manifest)),
  ]
}

async function serverVersion(client: DatabaseClient): Promise<Finding[]> {
  const { rows } = await client.query(`SELECT current_setting('server_version_num')::int / 10000 AS major`)
  const major = Number(rows[0]!.major)
  if (major >= 14) return []
  return [
    {
      severity: 'error',
      code: 'POSTGRES_VERSION',
      message: `The database is PostgreSQL ${major}. async-gen needs PostgreSQL 14 or later.`,
      remedy: 'Upgrade the database server.',
    },
  ]
}

/** A toast that cannot be computed keeps its old value, so readers do not notice the error. */
async function failingToasts(client: DatabaseClient): Promise<Finding[]> {
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
    message: `${toasts === 1 ? 'One toast' : `${toasts} toasts`} of ${name} cannot be computed, after up to ${failures} failed ${failures === 1 ? 'try' : 'tries'} in a row: ${error ?? 'no error was stored'}`,
    where: `toasts, name = '${name}'`,
    remedy: 'Fix the error in the method. The worker retries by itself, and the first success clears the error.',
  }))
}

/** Graphile Worker 0.17 takes a value of an integer sequence at each enqueue, also if the job exists already. */
async function sequenceHeadroom(client: DatabaseClient): Promise<Finding[]> {
  const { rows } = await client.query<{ name: string; used: number }>(`
    SELECT schemaname || '.' || sequencename AS name, round(100.0 * last_value / max_value) AS used
    FROM pg_sequences
    WHERE schemaname = 'graphile_worker' AND last_value > 0.5 * max_value
  `)
  return rows.map(({ name, used }) => ({
    severity: 'warning',
    code: 'SEQUENCE_HEADROOM',
    message: `${used} % of the sequence ${name} are used. At 100 % no job can be enqueued.`,
    where: name,
    remedy:
      'On Node 22.18 or later, upgrade Graphile Worker, which changes the type to bigint: npm install graphile-worker@^0.18.0. Otherwise: ALTER TABLE … ALTER COLUMN id TYPE bigint.',
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
              'DATABASE_URL connects through a connection pooler. A worker needs its own session, for a session lock and for LISTEN.',
            remedy: 'Give the worker a direct URL (on Supabase and Neon: the URL without the pooler).',
          },
        ]
      : []),
    ...(limit < 3
      ? [
          {
            severity: 'warning' as const,
            code: 'POOL_TOO_SMALL',
            message: `connection_limit in the URL is ${limit}. A call that uses its transaction needs two connections at once.`,
            remedy: 'Raise it to the number of calls that run at once, plus three.',
          },
        ]
      : []),
  ]
}
