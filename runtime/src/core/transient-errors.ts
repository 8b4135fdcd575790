/**
 * Whether a transaction failed in a conflict with another one, so that it can be run again as a whole: a serialization failure (40001)
 * or a deadlock (40P01) of PostgreSQL, as reported by Prisma, a driver adapter or pg, or an error with such a cause.
 */
export function isSerializationFailure(error: unknown): boolean {
  return codesOf(error).some((code) => SERIALIZATION_FAILURES.has(code))
}

/**
 * Whether the same statement may succeed later: it failed because of a conflict, a lock, a timeout, a full disk, a read-only server, or a
 * connection that was lost or could not be opened.
 */
export function isTransient(error: unknown): boolean {
  return codesOf(error).some((code) => HAVE_NOT_COMMITTED.has(code) || MAY_HAVE_COMMITTED.has(code))
}

/**
 * Whether a transient error proves that nothing was committed, so that even a statement that must not take effect twice can be
 * repeated. A lost connection does not prove it: the statement may have been committed and only its answer lost.
 */
export function hasNotCommitted(error: unknown): boolean {
  const codes = codesOf(error)
  return codes.some((code) => HAVE_NOT_COMMITTED.has(code)) && !codes.some((code) => MAY_HAVE_COMMITTED.has(code))
}

/** Whether PostgreSQL, or a pooler in front of it, rejected the startup parameter `options` or a setting in it. */
export function refusesStartupOptions(error: unknown): boolean {
  const { code, message } = propertiesOf(error)
  // The pattern is for poolers. PostgreSQL reports an unknown setting by its code.
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
  '08P01', // protocol_violation: PgBouncer
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

/** The `kind` of errors of Prisma's driver adapters that have no code. */
const CODE_OF_KIND: ReadonlyMap<unknown, string> = new Map([
  ['TransactionWriteConflict', '40001'],
  ['TooManyConnections', '53300'],
  ['DatabaseNotReachable', 'ECONNREFUSED'],
  ['ConnectionClosed', 'ECONNRESET'],
  ['SocketTimeout', 'ETIMEDOUT'],
])

/** The messages of errors of pg and Prisma that have no code. */
const CODE_OF_MESSAGE: readonly (readonly [RegExp, string])[] = [
  [/timeout exceeded when trying to connect|^timeout expired$|due to connection timeout/, 'NOT_CONNECTED'],
  [/Unable to start a transaction in the given time/, 'NOT_CONNECTED'],
  [/^Connection terminated(?! due to connection timeout)|is not queryable|^Query read timeout$/, 'LOST'],
]

/** How many objects are searched: an error, its causes, theirs. */
const MAX_OBJECTS = 20

/**
 * All codes of an error and its causes: SQLSTATEs, and codes of Node and Prisma. Depending on the query, Prisma puts PostgreSQL's code
 * into `meta`, a cause or the message.
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

/** Any value can be thrown, also a proxy whose properties throw. */
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
