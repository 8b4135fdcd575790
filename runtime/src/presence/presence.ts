import { hostname } from 'node:os'
import type { Database } from '../core/database.js'
import { AsyncGenError, notMigrated } from '../core/errors.js'
import { PRESENCE_LOCK } from '../core/living-workers.js'
import type { Statement } from '../core/statement.js'
import { version } from '../core/version.js'

/** For how many seconds a session may be silent before either end counts it as lost. */
const PATIENCE = 5

/** After how many seconds without a question the server gives up a process that is there, and hangs. */
const HANGING = 300

/** This process as others see it: alive for as long as its session holds an advisory lock. */
export interface Presence {
  /** The id of the process's row in async_workers. */
  id: number
  /**
   * Aborts when the session is gone, and with it the lock: others take this process for dead and take its work over.
   * Whoever asks for the presence again enters anew, under another id.
   */
  lost: AbortSignal
  /** Records what this process works on, and the Graphile Worker pool whose jobs are to be freed when it dies. */
  work(poolId: string, tasks: string[]): Promise<void>
  /** Ends the presence. Work that is still in hand can be taken over at once. */
  leave(): Promise<void>
}

const presences = new WeakMap<Database, Promise<Presence>>()

/** The presence of this process in that database, entered when it is first needed. */
export function presenceOf(db: Database): Promise<Presence> {
  let presence = presences.get(db)
  if (!presence) {
    presence = enter(db)
    presences.set(db, presence)
    const forget = () => {
      if (presences.get(db) === presence) presences.delete(db)
    }
    presence.then(({ lost }) => lost.addEventListener('abort', forget), forget)
  }
  return presence
}

/** Ends the presence of this process, if it ever entered. */
export async function leave(db: Database): Promise<void> {
  const presence = await presences.get(db)
  presences.delete(db)
  await presence?.leave()
}

type CancelListener = (table: string, id: bigint) => void

const cancelListeners = new WeakMap<Database, CancelListener>()

/** Calls `listener` for each attempt that any process cancels, while this process is present. */
export function onCancelled(db: Database, listener: CancelListener): void {
  cancelListeners.set(db, listener)
}

/** The payload is `<table>/<id>`. Anybody may send a notification, so others are ignored. */
function notifyCancelled(db: Database, payload: string): void {
  const [, table, id] = /^(.+)\/(-?\d{1,19})$/s.exec(payload) ?? []
  if (table !== undefined && id !== undefined) cancelListeners.get(db)?.(table, BigInt(id))
}

async function enter(db: Database): Promise<Presence> {
  await db.settle()
  const session = db.openSession()
  const lost = new AbortController()
  const lose = () => {
    clearInterval(pinging)
    lost.abort(new AsyncGenError('SESSION_LOST', 'The worker lost its session with PostgreSQL.'))
    // A session that only seems lost must not hold its lock any longer.
    session.end().catch(() => {})
  }
  session.on('error', lose).on('end', lose)
  session.on('notification', ({ payload = '' }) => notifyCancelled(db, payload))
  // From the beginning: a server that falls silent right after it has answered must not be waited for either.
  const pinging = ping(session, lose)
  const id = await takeLock(session).catch((error) => {
    clearInterval(pinging)
    session.end().catch(() => {})
    throw notMigrated(error) ?? error
  })
  letProcessExit(session)
  lost.signal.addEventListener('abort', () => lostPresences.set(db, [...(lostPresences.get(db) ?? []), id]))
  await endLostSessions(db, session)
  return {
    id,
    lost: lost.signal,
    work: async (poolId, tasks) => {
      await db.query(workStatement, [id, poolId, tasks])
    },
    leave: async () => {
      session.off('end', lose)
      clearInterval(pinging)
      // The lock has to go, also where the server does not answer any more.
      const closing = setTimeout(() => destroy(session), PATIENCE * 1000).unref()
      await session.query(leaveStatement.text, [id]).catch(() => {})
      await session.end().catch(() => {})
      clearTimeout(closing)
    },
  }
}

/** The presences that this process has lost. PostgreSQL may not know it: where a proxy stands between, it keeps their sessions. */
const lostPresences = new WeakMap<Database, number[]>()

/** Ends what PostgreSQL has kept of them, so that the others need not wait for minutes until they take their work over. */
async function endLostSessions(db: Database, session: Session): Promise<void> {
  const ids = lostPresences.get(db)
  if (!ids) return
  lostPresences.delete(db)
  await session.query(endSessions, [ids]).catch(() => {})
}

type Session = ReturnType<Database['openSession']>

async function takeLock(session: Session): Promise<number> {
  await session.connect()
  await session.query(keepalives)
  await session.query('LISTEN "async-gen:cancelled"')
  const { rows } = await session.query(enterStatement.text, [hostname(), process.pid, version])
  const { id } = rows[0] as { id: number }
  await requireSession(session, id)
  return id
}

/**
 * Asks once a second. Seconds are counted by the timer that asks: a process that was busy for long finds the answer waiting
 * before it has counted to five.
 */
function ping(session: Session, lose: () => void): NodeJS.Timeout {
  let unanswered = 0
  return setInterval(() => {
    if (unanswered >= PATIENCE) return lose()
    if (unanswered++ > 0) return
    session.query('SELECT 1').then(() => {
      unanswered = 0
    }, lose)
  }, 1000).unref()
}

/** Behind a pooler that hands every statement to another session, a lock says nothing about this process. */
async function requireSession(session: Session, id: number): Promise<void> {
  const { rows } = await session.query(ownLock, [id])
  if (rows.length > 0) return
  throw new AsyncGenError(
    'NO_SESSION',
    'The connection goes through a pooler in transaction mode, such as PgBouncer, so it has no session of its own. ' +
      'Give the worker the URL of PostgreSQL itself, or of a pooler in session mode.',
  )
}

// pg's clients have unref() and a connection, its types do not.
function letProcessExit(session: object): void {
  ;(session as { unref(): void }).unref()
}

function destroy(session: object): void {
  ;(session as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
}

// The server notices a process that was cut off, rather than ended, in the same time as the process itself. One that hangs still
// has a kernel that answers for it, but it does not ask any more.
const keepalives = `
  SET tcp_keepalives_idle = 2;
  SET tcp_keepalives_interval = 1;
  SET tcp_keepalives_count = ${PATIENCE - 2};
  SET tcp_user_timeout = ${PATIENCE * 1000};
  SET idle_session_timeout = ${HANGING * 1000}`

// The lock is taken before the row can be seen, so nobody ever sees a living worker's row without its lock.
const enterStatement: Statement = {
  name: 'async-gen:enter',
  text: `
    WITH worker AS (
      INSERT INTO async_workers (host, pid, version) VALUES ($1, $2, $3) RETURNING id
    )
    SELECT id, pg_advisory_lock(${PRESENCE_LOCK}, id)::text FROM worker`,
}

const endSessions = `
  SELECT pg_terminate_backend(pid) FROM pg_locks
  WHERE locktype = 'advisory' AND classid = ${PRESENCE_LOCK} AND objid::int = ANY ($1::int[]) AND objsubid = 2 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

const ownLock = `
  SELECT FROM pg_locks
  WHERE locktype = 'advisory' AND classid = ${PRESENCE_LOCK} AND objid = $1 AND objsubid = 2 AND pid = pg_backend_pid()`

const workStatement: Statement = {
  name: 'async-gen:work',
  text: 'UPDATE async_workers SET pool_id = $2, tasks = $3 WHERE id = $1',
}

// Where there is a Graphile Worker pool, its jobs may have to be freed: the sweep does both.
const leaveStatement: Statement = {
  name: 'async-gen:leave',
  text: 'DELETE FROM async_workers WHERE id = $1 AND pool_id IS NULL',
}
