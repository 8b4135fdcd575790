/**
 * Whether a transaction was lost to another one, and runs through when all of it is tried again: PostgreSQL's serialization failures
 * (40001) and deadlocks (40P01), however Prisma, a driver adapter or pg reports them, and errors that have one as their cause.
 */
export function isSerializationFailure(error: unknown): boolean {
  return codesOf(error).some((code) => SERIALIZATION_FAILURES.has(code))
}

/**
 * Whether the same statement may succeed a moment later: it met a conflict, a lock, a timeout, a full disk, a read-only server or a
 * connection that was lost or could not be opened. Nothing is wrong with the statement itself.
 */
export function isTransient(error: unknown): boolean {
  return codesOf(error).some((code) => HAVE_NOT_COMMITTED.has(code) || MAY_HAVE_COMMITTED.has(code))
}

/**
 * Whether such an error tells for certain that nothing was committed, so that a statement can be repeated which must not take effect
 * twice. After a lost connection nobody knows: the answer may have been lost, and not the statement.
 */
export function hasNotCommitted(error: unknown): boolean {
  const codes = codesOf(error)
  return codes.some((code) => HAVE_NOT_COMMITTED.has(code)) && !codes.some((code) => MAY_HAVE_COMMITTED.has(code))
}

/** Whether PostgreSQL, or a pooler before it, refuses the startup parameter `options` or a setting in it. */
export function refusesStartupOptions(error: unknown): boolean {
  const { code, message } = propertiesOf(error)
  // A pooler's words; PostgreSQL names the setting that it does not know.
  return code === UNKNOWN_SETTING || /startup (parameter|option)|command-line option/i.test(String(message))
}

const UNKNOWN_SETTING = '42704'

const SERIALIZATION_FAILURES: ReadonlySet<string> = new Set(['40001', '40P01', 'P2034'])

const HAVE_NOT_COMMITTED: ReadonlySet<string> = new Set([
  ...SERIALIZATION_FAILURES,
  '55P03', // lock_not_available
  '57014', // query_canceled: statement_timeout
  '25006', // read_only_sql_transaction: the server is a standby since a failover
  '25P03', // idle_in_transaction_session_timeout
  '53000', // insufficient_resources
  '53100', // disk_full
  '53200', // out_of_memory
  '53300', // too_many_connections
  '53400', // configuration_limit_exceeded
  '57P03', // cannot_connect_now
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'P1001', // Prisma cannot reach the server
  'P2024', // no connection of Prisma's pool was free in time
  'NOT_CONNECTED',
])

const MAY_HAVE_COMMITTED: ReadonlySet<string> = new Set([
  '08000', // connection_exception
  '08001', // sqlclient_unable_to_establish_sqlconnection
  '08003', // connection_does_not_exist
  '08004', // sqlserver_rejected_establishment_of_sqlconnection
  '08006', // connection_failure
  '08007', // transaction_resolution_unknown
  '08P01', // protocol_violation: what PgBouncer says
  '25P04', // transaction_timeout
  '40003', // statement_completion_unknown
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P05', // idle_session_timeout
  'ECONNABORTED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'EPIPE',
  'ERR_STREAM_DESTROYED',
  'ETIMEDOUT',
  'P1002', // the server was reached but timed out
  'P1008', // operations timed out
  'P1017', // the server has closed the connection
  'LOST',
])

/** What Prisma's driver adapters say in place of a code. */
const CODE_OF_KIND: ReadonlyMap<unknown, string> = new Map([
  ['TransactionWriteConflict', '40001'],
  ['TooManyConnections', '53300'],
  ['DatabaseNotReachable', 'ECONNREFUSED'],
  ['ConnectionClosed', 'ECONNRESET'],
  ['SocketTimeout', 'ETIMEDOUT'],
])

/** What pg and Prisma say without a code. */
const CODE_OF_MESSAGE: readonly (readonly [RegExp, string])[] = [
  [/timeout exceeded when trying to connect|^timeout expired$|due to connection timeout/, 'NOT_CONNECTED'],
  [/Unable to start a transaction in the given time/, 'NOT_CONNECTED'],
  [/^Connection terminated(?! due to connection timeout)|is not queryable|^Query read timeout$/, 'LOST'],
]

/** How many objects are looked at: an error, its causes, theirs. */
const MAX_OBJECTS = 20

/**
 * The codes of an error, wherever they are: SQLSTATEs, Node's and Prisma's. Prisma hides PostgreSQL's code in `meta`, in a cause or
 * in the message, depending on the query.
 */
function codesOf(error: unknown): string[] {
  const codes: string[] = []
  const objects = new Set([error])
  for (const object of objects) {
    const { code, originalCode, kind, message, cause, meta, errors } = propertiesOf(object)
    codes.push(...[code, originalCode, CODE_OF_KIND.get(kind)].filter((found) => typeof found === 'string'))
    if (typeof message === 'string') codes.push(...codesIn(message))
    const { driverAdapterError } = propertiesOf(meta)
    for (const next of [cause, meta, driverAdapterError, ...(Array.isArray(errors) ? errors : [])]) {
      if (objects.size < MAX_OBJECTS) objects.add(next)
    }
  }
  return codes
}

function codesIn(message: string): string[] {
  const [, quoted] = /\bCode: `([0-9A-Z]{5})`/.exec(message) ?? []
  const known = CODE_OF_MESSAGE.filter(([pattern]) => pattern.test(message)).map(([, code]) => code)
  return quoted ? [...known, quoted] : known
}

/** Anything can be thrown: no object, or a proxy that refuses to answer. */
function propertiesOf(thrown: unknown): Record<string, unknown> {
  if (typeof thrown !== 'object' || thrown === null) return {}
  try {
    const { code, originalCode, kind, message, cause, meta, errors } = thrown as Record<string, unknown>
    const { driverAdapterError } = thrown as Record<string, unknown>
    return { code, originalCode, kind, message, cause, meta, errors, driverAdapterError }
  } catch {
    return {}
  }
}
