import type { Manifest } from '../../changes/manifest.js'
import type { DatabaseClient } from '../../host/database.js'
import { readText } from '../../host/files.js'
import type { Host } from '../../host/inspect.js'
import { parseClient } from '../../pipeline/client-answer.js'
import type { Finding } from './finding.js'

interface Setting {
  name: string
  /** In milliseconds if it is a duration. */
  value: string
  /** As PostgreSQL shows it. */
  shown: string
}

interface Rule {
  isHarmful(value: string): boolean
  harm: string
  /** The value that fixes it, for PrismaPg's `options`. */
  fix?: string
  /** The remedy if no value fixes it. */
  remedy?: string
}

/**
 * Settings of the database or the role that cause errors in the PrismaClient's sessions. The runtime sets its own
 * connections, and the worker checks the client when it starts.
 */
export async function clientSettings(client: DatabaseClient, host: Host, { settings }: Manifest): Promise<Finding[]> {
  const { path } = parseClient(settings.client)
  const source = readText(host.root, path) ?? ''
  const { rows: found } = await client.query<Setting>(readSettings)
  return found.flatMap(({ name, value, shown }): Finding[] => {
    const rule = RULES[name]
    // Prisma 8 reads times with their zone.
    if (!rule?.isHarmful(value) || setsIn(source, name) || (host.emitContract && name === 'TimeZone')) return []
    const fix = host.emitContract
      ? `postgres({ url: \`\${url}?options=-c%20${encodeURIComponent(rule.fix ?? '')}\` })`
      : `new PrismaPg({ connectionString, options: '-c ${rule.fix}' })`
    return [
      {
        severity: 'warning',
        code: name.endsWith('_timeout') ? 'SESSION_TIMEOUT' : 'SESSION_SETTING',
        message: `The database role has the setting ${name} = ${shown}. ${rule.harm}`,
        where: 'DATABASE_URL',
        remedy: rule.remedy ?? `Set it in ${path}, where the PrismaClient is made: ${fix}`,
      },
    ]
  })
}

/** Whether the module of the client contains the setting. */
function setsIn(source: string, name: string): boolean {
  return new RegExp(`\\b${name}\\s*=`, 'i').test(source)
}

const isShorterThan = (limit: number) => (value: string) => Number(value) > 0 && Number(value) < limit

const RULES: Record<string, Rule> = {
  // Seconds from UTC, in winter and in summer.
  TimeZone: {
    isHarmful: (offsets) => offsets !== '0 0',
    harm:
      "Prisma's model API shifts times by the time zone's difference from UTC: prisma.attempt.create({ data: { scheduledAt } }) " +
      'schedules a call for the wrong time.',
    fix: 'TimeZone=UTC',
  },
  DateStyle: {
    isHarmful: (value) => !value.startsWith('ISO'),
    harm: 'Prisma cannot read times in this format: it returns invalid dates.',
    fix: 'DateStyle=ISO',
  },
  default_transaction_read_only: {
    isHarmful: (value) => value === 'on',
    harm: 'Your transactions cannot record calls, and the transaction of a call cannot write.',
    fix: 'default_transaction_read_only=off',
  },
  default_transaction_isolation: {
    isHarmful: (value) => value === 'serializable' || value === 'repeatable read',
    harm: 'A transaction that records a call can fail because of a concurrent one, and then has to be retried.',
    remedy: 'Retry the transaction if isSerializationFailure(error) is true: docs/attempts.md shows how.',
  },
  statement_timeout: {
    isHarmful: isShorterThan(5000),
    harm: 'A longer statement in a call or a computation fails, and the call runs again.',
    fix: 'statement_timeout=0',
  },
  lock_timeout: {
    isHarmful: isShorterThan(1000),
    harm: 'A statement that waits longer for a lock fails, for example when two transactions record the same idempotence token.',
    fix: 'lock_timeout=0',
  },
  idle_in_transaction_session_timeout: {
    isHarmful: isShorterThan(60_000),
    harm: 'If a call leaves its transaction idle for longer, the database ends the transaction, and the call runs again.',
    fix: 'idle_in_transaction_session_timeout=0',
  },
  transaction_timeout: {
    isHarmful: isShorterThan(60_000),
    harm: 'If a call keeps its transaction for longer, the database ends the transaction, and the call runs again.',
    fix: 'transaction_timeout=0',
  },
  idle_session_timeout: {
    // The pool of a driver adapter closes a connection after ten idle seconds.
    isHarmful: isShorterThan(11_000),
    harm: 'The database closes idle connections of the client, and the next query on one of them can fail.',
    fix: 'idle_session_timeout=0',
  },
  search_path: {
    isHarmful: (value) => value === 'hidden',
    harm: 'It does not include the schema of the async-gen tables, so your transactions can neither record calls nor read them.',
    fix: 'search_path=public',
  },
  session_replication_role: {
    isHarmful: (value) => value === 'replica',
    harm: 'Triggers do not fire, so a recorded call is not enqueued before the next sweep, seconds later.',
    fix: 'session_replication_role=origin',
  },
}

// statement_timeout comes from pg_db_role_setting, because this connection has set its own.
const readSettings = `
  SELECT
    name,
    CASE name
      WHEN 'TimeZone' THEN
        extract(timezone FROM timestamptz '2026-01-01Z')::int || ' ' || extract(timezone FROM timestamptz '2026-07-01Z')::int
      WHEN 'search_path' THEN
        CASE WHEN to_regclass('async_workers') IS NULL AND to_regclass('public.async_workers') IS NOT NULL THEN 'hidden' END
      ELSE setting
    END AS value,
    current_setting(name) AS shown
  FROM pg_settings
  WHERE name <> 'statement_timeout'
  UNION ALL
  (
    SELECT
      'statement_timeout',
      (extract(epoch FROM (given || CASE WHEN given ~ '^\\d+$' THEN 'ms' ELSE '' END)::interval) * 1000)::int::text,
      given
    FROM pg_db_role_setting
    CROSS JOIN unnest(setconfig) AS config
    CROSS JOIN LATERAL split_part(config, '=', 2) AS given
    WHERE config LIKE 'statement\\_timeout=%'
      AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
      AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user))
    ORDER BY setrole = 0, setdatabase = 0
    LIMIT 1
  )`
