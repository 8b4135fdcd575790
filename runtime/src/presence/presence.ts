import { hostname } from 'node:os'
import type { Database } from '../core/database.js'
import { AsyncGenError, notMigrated } from '../core/errors.js'
import { PRESENCE_LOCK } from '../core/living-workers.js'
import type { Statement } from '../core/statement.js'
import { version } from '../core/version.js'

/** A session without an answer for this long counts as lost, here and on the server. Seconds. */
const SESSION_TIMEOUT = 5

/** The server ends the session of a process that sends no ping for this long, although its machine answers. Seconds. */
const HUNG_PROCESS_TIMEOUT = 300

/** Shows other processes that this one is alive: its session holds an advisory lock. */
export interface Presence {
  /** The id of the process's row in async_workers. */
  id: number
  /**
   * Aborts when the session is lost, and with it the lock: other workers release the work of this process. The next call of `presenceOf`
   * acquires a new presence with another id.
   */
  lost: AbortSignal
  /** Records the tasks of this process and its Graphile Worker pool, whose jobs the sweep unlocks if the process dies. */
  announcePool(poolId: string, tasks: string[]): Promise<void>
  /** Ends the presence. Other workers can release unfinished work at once. */
  release(): Promise<void>
}

const presences = new WeakMap<Database, Promise<Presence>>()

/** The presence of this process in that database, acquired at the first use. */
export function presenceOf(db: Database): Promise<Presence> {
  let presence = presences.get(db)
  if (!presence) {
    presence = acquire(db)
    presences.set(db, presence)
    const forget = () => {
      if (presences.get(db) === presence) presences.delete(db)
    }
    const forgetWhenLost = ({ lost }: Presence) =>
      // It may have been lost while it was acquired, and then no event follows.
      lost.aborted ? forget() : lost.addEventListener('abort', forget)
    presence.then(forgetWhenLost, forget)
  }
  return presence
}

/** Ends the presence of this process, if it has one. */
export async function releasePresence(db: Database): Promise<void> {
  const presence = await presences.get(db)
  presences.delete(db)
  await presence?.release()
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

async function acquire(db: Database): Promise<Presence> {
  await db.negotiateSettings()
  const session = db.openSession()
  const lost = new AbortController()
  const onLost = () => {
    clearInterval(pinging)
    lost.abort(new AsyncGenError('SESSION_LOST', 'The worker lost its session with PostgreSQL.'))
    // The session may still be open. Closing it releases its lock.
    session.end().catch(() => {})
  }
  session.on('error', onLost).on('end', onLost)
  session.on('notification', ({ payload = '' }) => notifyCancelled(db, payload))
  // Before the lock is taken: a server that stops answering during that must not block the worker either.
  const pinging = ping(session, onLost)
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
    announcePool: async (poolId, tasks) => {
      await db.query(announcePoolStatement, [id, poolId, tasks])
    },
    release: async () => {
      session.off('end', onLost)
      clearInterval(pinging)
      // The connection is destroyed if the server does not answer.
      const closing = setTimeout(() => destroy(session), SESSION_TIMEOUT * 1000).unref()
      await session.query(releaseStatement.text, [id]).catch(() => {})
      await session.end().catch(() => {})
      clearTimeout(closing)
    },
  }
}

/** The ids of lost presences of this process. Behind a proxy, PostgreSQL may keep their sessions open. */
const lostPresences = new WeakMap<Database, number[]>()

/** Ends the sessions that PostgreSQL has kept, so that other workers can release their work at once and not minutes later. */
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
  const { rows } = await session.query(acquireStatement.text, [hostname(), process.pid, version])
  const { id } = rows[0] as { id: number }
  await requireSession(session, id)
  return id
}

/**
 * Sends a ping once a second. The same timer counts the seconds without an answer, so that a process that was busy for longer than the
 * timeout reads the answer before it counts the session as lost.
 */
function ping(session: Session, onLost: () => void): NodeJS.Timeout {
  let unanswered = 0
  return setInterval(() => {
    if (unanswered >= SESSION_TIMEOUT) return onLost()
    if (unanswered++ > 0) return
    session.query('SELECT 1').then(() => {
      unanswered = 0
    }, onLost)
  }, 1000).unref()
}

/** Behind a pooler in transaction mode, each statement may run in another session, so the lock would not show that this process is alive. */
async function requireSession(session: Session, id: number): Promise<void> {
  const { rows } = await session.query(ownLock, [id])
  if (rows.length > 0) return
  throw new AsyncGenError(
    'NO_SESSION',
    'The connection goes through a pooler in transaction mode, such as PgBouncer. The worker needs a session. ' +
      'Set DATABASE_URL of the worker to PostgreSQL itself, or to a pooler in session mode.',
  )
}

// pg's clients have unref() and a connection, its types do not.
function letProcessExit(session: object): void {
  ;(session as { unref(): void }).unref()
}

function destroy(session: object): void {
  ;(session as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
}

// The server detects a lost network connection in the same time as the process. The kernel of a hung process still answers, but the
// process sends no pings, so its session becomes idle.
const keepalives = `
  SET tcp_keepalives_idle = 2;
  SET tcp_keepalives_interval = 1;
  SET tcp_keepalives_count = ${SESSION_TIMEOUT - 2};
  SET tcp_user_timeout = ${SESSION_TIMEOUT * 1000};
  SET idle_session_timeout = ${HUNG_PROCESS_TIMEOUT * 1000}`

// The lock is taken before the row is committed, so the row of a living worker is never visible without its lock.
const acquireStatement: Statement = {
  name: 'async-gen:acquire-presence',
  text: `
    -- $1 host, $2 pid, $3 version
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

const announcePoolStatement: Statement = {
  name: 'async-gen:announce-pool',
  text: `
    -- $1 id, $2 pool id, $3 tasks
    UPDATE async_workers SET pool_id = $2, tasks = $3 WHERE id = $1`,
}

// The row of a Graphile Worker pool stays: the sweep unlocks the jobs of the pool, and deletes the row later.
const releaseStatement: Statement = {
  name: 'async-gen:release-presence',
  text: 'DELETE FROM async_workers WHERE id = $1 AND pool_id IS NULL',
}
