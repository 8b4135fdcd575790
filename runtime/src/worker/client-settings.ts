import type { Database } from '../core/database.js'
import type { TransactionLike } from '../core/prisma/client.js'
import { sweptTables } from '../core/swept-table.js'
import type { Log } from './log.js'

/** A setting of the PrismaClient's sessions that does harm. The runtime's own connections set what they depend on. */
export interface HarmfulSetting {
  setting: string
  /** As PostgreSQL shows it. */
  value: string
  /** What goes wrong. */
  harm: string
  /** What to do. */
  remedy: string
}

/** Writes a warning for each setting of the PrismaClient's sessions that does harm. It never fails. */
export async function warnOfSettings(db: Database, log: Log): Promise<void> {
  const found = await harmfulSettings(db).catch((): HarmfulSetting[] => [])
  for (const { setting, value, harm, remedy } of found) {
    log.say('warning', `${setting} is ${value} in the sessions of your PrismaClient. ${harm} ${remedy}`, {
      setting,
      value,
    })
  }
}

/**
 * The settings of the PrismaClient's sessions that do harm, whether the database, the role, the URL or the driver adapter has made them.
 * @throws what the client throws
 */
export async function harmfulSettings(db: Database): Promise<HarmfulSetting[]> {
  const tables = ['toasts', 'async_workers', ...[...sweptTables(db)].map(({ table }) => table)]
  const [session] = await (db.prisma as TransactionLike).$queryRawUnsafe<[Session]>(
    readSession,
    tables,
    rules.map(({ setting }) => setting),
  )
  return rules.flatMap(({ setting, isHarmful, harm, remedy }) => {
    const { value, shown } = session.settings[setting] ?? {}
    if (value === undefined || shown === undefined || !isHarmful(value, session)) return []
    return [{ setting, value: shown, harm, remedy }]
  })
}

interface Session {
  settings: Record<string, { value: string; shown: string }>
  /** Two times as Prisma reads them. */
  winter: Date
  summer: Date
  /** Whether a table of the runtime's is not found by its name alone, or the role sees only some of its rows. */
  hidden: boolean
  filtered: boolean
}

interface Rule extends Omit<HarmfulSetting, 'value'> {
  isHarmful(value: string, session: Session): boolean
}

const WINTER = '2026-01-01T00:00:00.000Z'
const SUMMER = '2026-07-01T00:00:00.000Z'

// Zones that are UTC in winter are another one in summer. Row security is asked of PostgreSQL as it would be if it were on.
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
      "Prisma's model API reads and writes times with a time zone wrong by the zone's distance from UTC: a call that " +
      '`prisma.attempt.create({ data: { scheduledAt } })` records is due at another time. What the runtime records is exact.',
    remedy: inAdapter('TimeZone=UTC'),
  },
  {
    setting: 'DateStyle',
    isHarmful: (_, { winter }) => Number.isNaN(winter.getTime()),
    harm: 'Prisma cannot read times that are written so: it returns invalid dates.',
    remedy: inAdapter('DateStyle=ISO'),
  },
  {
    setting: 'search_path',
    isHarmful: (_, { hidden }) => hidden,
    harm: 'It does not lead to the tables of the runtime, so that nothing can be recorded or read in a transaction of yours.',
    remedy: inAdapter('search_path=<the schema of these tables>'),
  },
  {
    setting: 'default_transaction_read_only',
    isHarmful: (value) => value === 'on',
    harm: 'Nothing can be recorded in a transaction of yours, and calls cannot write to theirs.',
    remedy: inAdapter('default_transaction_read_only=off'),
  },
  {
    setting: 'default_transaction_isolation',
    isHarmful: (value) => value === 'serializable' || value === 'repeatable read',
    harm: 'A transaction of yours that records a call can lose against another one, and has to run again as a whole.',
    remedy: 'Run it again where isSerializationFailure(error) is true: docs/attempts.md shows how.',
  },
  {
    setting: 'statement_timeout',
    isHarmful: isShorterThan(5000),
    harm: 'A statement of a call or of a computation that takes longer fails, and the call runs again.',
    remedy: inAdapter('statement_timeout=0'),
  },
  {
    setting: 'lock_timeout',
    isHarmful: isShorterThan(1000),
    harm: 'A statement that waits longer for another transaction fails: a call with a token that somebody else is recording, for one.',
    remedy: inAdapter('lock_timeout=0'),
  },
  {
    setting: 'idle_in_transaction_session_timeout',
    isHarmful: isShorterThan(60_000),
    harm: 'A call that asks for its transaction and does something else for longer is cut off, and runs again.',
    remedy: inAdapter('idle_in_transaction_session_timeout=0'),
  },
  {
    setting: 'transaction_timeout',
    isHarmful: isShorterThan(60_000),
    harm: 'A call that keeps its transaction for longer is cut off, and runs again.',
    remedy: inAdapter('transaction_timeout=0'),
  },
  {
    setting: 'idle_session_timeout',
    // The pool of a driver adapter closes by itself what has been idle for ten seconds.
    isHarmful: isShorterThan(11_000),
    harm: 'Connections that the client keeps are ended under it, and the query that uses one next can fail.',
    remedy: inAdapter('idle_session_timeout=0'),
  },
  {
    setting: 'row_security',
    isHarmful: (value, { filtered }) => value === 'off' && filtered,
    harm: 'Statements on tables with row security fail, in place of seeing the rows that the role may see.',
    remedy: inAdapter('row_security=on'),
  },
  {
    setting: 'session_replication_role',
    isHarmful: (value) => value === 'replica',
    harm: 'Triggers do not fire: what is written is enqueued by the next sweep, seconds later.',
    remedy: inAdapter('session_replication_role=origin'),
  },
]

function isShifted(read: Date, written: string): boolean {
  return !Number.isNaN(read.getTime()) && read.toISOString() !== written
}

function isShorterThan(limit: number): Rule['isHarmful'] {
  return (value) => Number(value) > 0 && Number(value) < limit
}

function inAdapter(setting: string): string {
  return `Change it where the client is made: new PrismaPg({ connectionString, options: '-c ${setting}' }).`
}
