import { hostname } from 'node:os'
import type { Database, Statement } from './database.js'

/** The first key of every worker's advisory lock ("AGen" in ASCII); the second is the worker's id. */
const PRESENCE_LOCK = 0x4147656e

/** The ids of the workers that are alive, as a subquery. */
export const livingWorkers = `
  SELECT objid::int
  FROM pg_locks
  WHERE locktype = 'advisory' AND classid = ${PRESENCE_LOCK} AND objsubid = 2 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

/** This process as others see it: alive for as long as its session holds an advisory lock. */
export interface Presence {
  /** The id of the process's row in async_workers. */
  id: number
  /** Records the Graphile Worker pool whose jobs are to be freed when this process dies. */
  adoptPool(poolId: string): Promise<void>
  /** Ends the presence: the row goes, and with the session its lock. */
  leave(): Promise<void>
}

const presences = new WeakMap<Database, Promise<Presence>>()

/** The presence of this process in that database, entered when it is first needed. */
export function presenceOf(db: Database): Promise<Presence> {
  let presence = presences.get(db)
  if (!presence) {
    presence = enter(db)
    presences.set(db, presence)
    presence.catch(() => presences.delete(db))
  }
  return presence
}

/** Ends the presence of this process, if it ever entered. */
export async function leave(db: Database): Promise<void> {
  const presence = presences.get(db)
  presences.delete(db)
  await (await presence)?.leave()
}

async function enter(db: Database): Promise<Presence> {
  const session = db.openSession()
  // The session may be cut at any time; whoever looks finds the lock gone, and the next use enters again.
  session.on('error', () => presences.delete(db))
  await session.connect()
  const { rows } = await session.query(enterStatement.text, [hostname(), process.pid])
  letProcessExit(session)
  const id: number = rows[0].id
  return {
    id,
    adoptPool: async (poolId) => {
      await db.query(adoptPoolStatement, [id, poolId])
    },
    leave: async () => {
      await db.query(leaveStatement, [id])
      await session.end()
    },
  }
}

// pg's clients have unref(), its types do not.
function letProcessExit(session: object): void {
  ;(session as { unref(): void }).unref()
}

// The lock is taken before the row can be seen, so nobody ever sees a living worker's row without its lock.
const enterStatement: Statement = {
  name: 'async-gen:enter',
  text: `
    WITH worker AS (
      INSERT INTO async_workers (host, pid) VALUES ($1, $2) RETURNING id
    )
    SELECT id, pg_advisory_lock(${PRESENCE_LOCK}, id)::text FROM worker`,
}

const adoptPoolStatement: Statement = {
  name: 'async-gen:adopt-pool',
  text: 'UPDATE async_workers SET pool_id = $2 WHERE id = $1',
}

const leaveStatement: Statement = {
  name: 'async-gen:leave',
  text: 'DELETE FROM async_workers WHERE id = $1',
}
