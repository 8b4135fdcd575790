import type { Manifest } from '../changes/manifest.js'
import { parseClient } from '../client-answer.js'
import { readText } from '../host/files.js'
import type { Host } from '../host/inspect.js'
import type { Finding } from './finding.js'

/** What of pg is needed. */
interface Client {
  query(sql: string): Promise<{ rows: unknown[] }>
}

interface Setting {
  name: string
  /** Milliseconds, for a length of time. */
  value: string
  /** As PostgreSQL shows it. */
  shown: string
}

interface Rule {
  isHarmful(value: string): boolean
  harm: string
  /** What the option in PrismaPg's `options` has to say. */
  fix?: string
  /** What to do where another value is no fix. */
  remedy?: string
}

/**
 * Settings of the database or the role that do harm in the PrismaClient's sessions. The runtime's own connections set what they depend on,
 * and the worker asks the client itself when it starts.
 */
export async function clientSettings(client: Client, host: Host, { settings }: Manifest): Promise<Finding[]> {
  const { path } = parseClient(settings.client)
  const source = readText(host.root, path) ?? ''
  const found = (await client.query(readSettings)).rows as Setting[]
  return found.flatMap(({ name, value, shown }): Finding[] => {
    const rule = RULES[name]
    if (!rule?.isHarmful(value) || setsIn(source, name)) return []
    const fix = `new PrismaPg({ connectionString, options: '-c ${rule.fix}' })`
    return [
      {
        severity: 'warning',
        code: name.endsWith('_timeout') ? 'SESSION_TIMEOUT' : 'SESSION_SETTING',
        message: `${name} is ${shown} for this role. ${rule.harm}`,
        where: 'DATABASE_URL',
        remedy: rule.remedy ?? `Change it where ${path} makes the PrismaClient: ${fix}`,
      },
    ]
  })
}

/** Whether the module that makes the client sets it. */
function setsIn(source: string, name: string): boolean {
  return new RegExp(`\\b${name}\\s*=`, 'i').test(source)
}

const isShorterThan = (limit: number) => (value: string) => Number(value) > 0 && Number(value) < limit

const RULES: Record<string, Rule> = {
  // Seconds from UTC, in winter and in summer.
  TimeZone: {
    isHarmful: (offsets) => offsets !== '0 0',
    harm:
      "Prisma's model API reads and writes times with a time zone wrong by the zone's distance from UTC: a call that " +
      'prisma.attempt.create({ data: { scheduledAt } }) records is due at another time.',
    fix: 'TimeZone=UTC',
  },
  DateStyle: {
    isHarmful: (value) => !value.startsWith('ISO'),
    harm: 'Prisma cannot read times that are written so: it returns invalid dates.',
    fix: 'DateStyle=ISO',
  },
  default_transaction_read_only: {
    isHarmful: (value) => value === 'on',
    harm: 'Nothing can be recorded in a transaction of yours, and calls cannot write to theirs.',
    fix: 'default_transaction_read_only=off',
  },
  default_transaction_isolation: {
    isHarmful: (value) => value === 'serializable' || value === 'repeatable read',
    harm: 'A transaction of yours that records a call can lose against another one, and has to run again as a whole.',
    remedy: 'Run it again where isSerializationFailure(error) is true: docs/attempts.md shows how.',
  },
  statement_timeout: {
    isHarmful: isShorterThan(5000),
    harm: 'A statement of a call or of a computation that takes longer fails, and the call runs again.',
    fix: 'statement_timeout=0',
  },
  lock_timeout: {
    isHarmful: isShorterThan(1000),
    harm: 'A statement that waits longer for another transaction fails: a call with a token that somebody else is recording, for one.',
    fix: 'lock_timeout=0',
  },
  idle_in_transaction_session_timeout: {
    isHarmful: isShorterThan(60_000),
    harm: 'A call that asks for its transaction and does something else for longer is cut off, and runs again.',
    fix: 'idle_in_transaction_session_timeout=0',
  },
  transaction_timeout: {
    isHarmful: isShorterThan(60_000),
    harm: 'A call that keeps its transaction for longer is cut off, and runs again.',
    fix: 'transaction_timeout=0',
  },
  idle_session_timeout: {
    // The pool of a driver adapter closes by itself what has been idle for ten seconds.
    isHarmful: isShorterThan(11_000),
    harm: 'Connections that the client keeps are ended under it, and the query that uses one next can fail.',
    fix: 'idle_session_timeout=0',
  },
  search_path: {
    isHarmful: (value) => value === 'hidden',
    harm: 'It does not lead to the tables of the runtime, so that nothing can be recorded or read in a transaction of yours.',
    fix: 'search_path=public',
  },
  session_replication_role: {
    isHarmful: (value) => value === 'replica',
    harm: 'Triggers do not fire: what is written is enqueued by the next sweep, seconds later.',
    fix: 'session_replication_role=origin',
  },
}

// statement_timeout is what the database or the role says: this connection has set its own.
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
