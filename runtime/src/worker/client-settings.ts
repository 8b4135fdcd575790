import type { Database } from '../core/database.js'
import { sweptTables } from '../core/swept-table.js'
import type { Log } from './log.js'

/** A setting of the PrismaClient's sessions that causes errors. The runtime's own connections set what they depend on. */
export interface HarmfulSetting {
  setting: string
  /** As PostgreSQL shows it. */
  value: string
  /** What goes wrong. */
  harm: string
  /** What to do. */
  remedy: string
}

/** Logs a warning for each harmful setting of the PrismaClient's sessions. It never throws. */
export async function warnOfSettings(db: Database, log: Log): Promise<void> {
  const found = await harmfulSettings(db).catch((): HarmfulSetting[] => [])
  for (const { setting, value, harm, remedy } of found) {
    log.message('warning', `${setting} is ${value} in the sessions of your PrismaClient. ${harm} ${remedy}`, {
      setting,
      value,
    })
  }
}

/**
 * The harmful settings of the PrismaClient's sessions, whether the database, the role, the URL or the driver adapter has set them.
 * @throws what the client throws
 */
export async function harmfulSettings(db: Database): Promise<HarmfulSetting[]> {
  const tables = ['toasts', 'async_workers', ...[...sweptTables(db)].map(({ table }) => table)]
  const [session] = await db.queryPrisma<Session>(readSession, [tables, rules.map(({ setting }) => setting)])
  return rules.flatMap(({ setting, isHarmful, harm, remedy }) => {
    const { value, shown } = session?.settings[setting] ?? {}
    if (!session || value === undefined || shown === undefined || !isHarmful(value, session)) return []
    return [{ setting, value: shown, harm, remedy }]
  })
}

interface Session {
  settings: Record<string, { value: string; shown: string }>
  /** A time in winter and one in summer, as Prisma reads them. Prisma 8 gives PostgreSQL's text, which has the zone. */
  winter: Date | string
  summer: Date | string
  /** `hidden`: a table of the runtime is not found without its schema. `filtered`: row security hides rows of one from the role. */
  hidden: boolean
  filtered: boolean
}

interface Rule extends Omit<HarmfulSetting, 'value'> {
  isHarmful(value: string, session: Session): boolean
}

const WINTER = '2026-01-01T00:00:00.000Z'
const SUMMER = '2026-07-01T00:00:00.000Z'

// A zone can equal UTC in winter and differ in summer. row_security_active answers as if row_security were on.
const readSession = `
  SELECT
    (
      SELECT json_object_agg(name, json_build_object('value', setting, 'shown', current_setting(name)))
      FROM pg_settings WHERE name = ANY ($2::text[])
    ) AS settings,
    '${WINTER}'::timestamptz AS winter,
    '${SUMMER}'::timestamptz AS summer,
    (SELECT bool_or(to_regclass(quote_ident(name)) IS NULL) FROM unnest($1::text[]) AS name) AS hidden,
    (SELECT bool_or(row_security_active(to_regclass(quote_ident(name)))) FROM unnest($1::text[]) AS name) AS filtered`

const rules: readonly Rule[] = [
  {
    setting: 'TimeZone',
    isHarmful: (_, { winter, summer }) => isShifted(winter, WINTER) || isShifted(summer, SUMMER),
    harm:
      "Prisma's model API shifts times by the zone's distance from UTC when it reads and writes them: a call that " +
      '`prisma.attempt.create({ data: { scheduledAt } })` records is due at another time. The times of the runtime are exact.',
    remedy: inAdapter('TimeZone=UTC'),
  },
  {
    setting: 'DateStyle',
    isHarmful: (_, { winter }) => (typeof winter === 'string' ? !ISO.test(winter) : Number.isNaN(winter.getTime())),
    harm: 'Prisma cannot read times in this format: it returns invalid dates.',
    remedy: inAdapter('DateStyle=ISO'),
  },
  {
    setting: 'search_path',
    isHarmful: (_, { hidden }) => hidden,
    harm: 'The tables of the runtime are not found on it, so nothing can be recorded or read in your transactions.',
    remedy: inAdapter('search_path=<the schema of these tables>'),
  },
  {
    setting: 'default_transaction_read_only',
    isHarmful: (value) => value === 'on',
    harm: 'Nothing can be recorded in your transactions, and calls cannot write in theirs.',
    remedy: inAdapter('default_transaction_read_only=off'),
  },
  {
    setting: 'default_transaction_isolation',
    isHarmful: (value) => value === 'serializable' || value === 'repeatable read',
    harm: 'Your transactions that record a call can fail in a conflict with another one, and must be run again as a whole.',
    remedy: 'Run the transaction again if isSerializationFailure(error) is true: see docs/attempts.md.',
  },
  {
    setting: 'statement_timeout',
    isHarmful: isShorterThan(5000),
    harm: 'A longer statement of a call or a computation fails, and the call runs again.',
    remedy: inAdapter('statement_timeout=0'),
  },
  {
    setting: 'lock_timeout',
    isHarmful: isShorterThan(1000),
    harm: 'A statement that waits longer for a lock fails, for example one that records a token which another transaction is recording.',
    remedy: inAdapter('lock_timeout=0'),
  },
  {
    setting: 'idle_in_transaction_session_timeout',
    isHarmful: isShorterThan(60_000),
    harm: 'The transaction of a call that sends no statement for longer is ended, and the call runs again.',
    remedy: inAdapter('idle_in_transaction_session_timeout=0'),
  },
  {
    setting: 'transaction_timeout',
    isHarmful: isShorterThan(60_000),
    harm: 'A longer transaction of a call is ended, and the call runs again.',
    remedy: inAdapter('transaction_timeout=0'),
  },
  {
    setting: 'idle_session_timeout',
    // The pool of a driver adapter closes connections that have been idle for ten seconds.
    isHarmful: isShorterThan(11_000),
    harm: 'PostgreSQL ends connections that the client keeps open, and the next query on one can fail.',
    remedy: inAdapter('idle_session_timeout=0'),
  },
  {
    setting: 'row_security',
    isHarmful: (value, { filtered }) => value === 'off' && filtered,
    harm: 'Statements on tables with row security fail, instead of returning the rows that the role may see.',
    remedy: inAdapter('row_security=on'),
  },
  {
    setting: 'session_replication_role',
    isHarmful: (value) => value === 'replica',
    harm: 'Triggers do not fire: new rows get their jobs from the next sweep, seconds later.',
    remedy: inAdapter('session_replication_role=origin'),
  },
]

const ISO = /^\d{4}-\d\d-\d\d /

function isShifted(read: Date | string, written: string): boolean {
  return typeof read !== 'string' && !Number.isNaN(read.getTime()) && read.toISOString() !== written
}

function isShorterThan(limit: number): Rule['isHarmful'] {
  return (value) => Number(value) > 0 && Number(value) < limit
}

function inAdapter(setting: string): string {
  return `Change it where the client is created: new PrismaPg({ connectionString, options: '-c ${setting}' }).`
}
