import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../core/database.js'
import type { Statement } from '../core/statement.js'
import type { Presence } from '../presence/presence.js'
import type { GraphileRunner } from './graphile-runner.js'

/** The parts of a worker that decide whether it is ready. */
export interface WorkerState {
  /** The current runner, or the last one. Undefined before the first. */
  runner: GraphileRunner | undefined
  presence: Presence | undefined
}

/** How long PostgreSQL may take to answer, in milliseconds. */
const ANSWER_TIMEOUT = 2000

/** Why the worker takes no jobs now; undefined if it does. */
export async function unready(db: Database, stop: AbortSignal, state: WorkerState): Promise<string | undefined> {
  if (stop.aborted) return 'stopping'
  if (!state.runner || !state.presence) return 'starting'
  if (state.presence.lost.aborted) return 'connecting again'
  const answer = accessOf(db).catch((error: Error) => error)
  const access = await Promise.race([answer, sleep(ANSWER_TIMEOUT, undefined, { ref: false })])
  if (access === undefined) return 'PostgreSQL does not answer'
  if (access instanceof Error) return `PostgreSQL does not answer: ${access.message}`
  if (access === 'read-only') return 'the database is read-only'
  return state.runner.problem
}

/** Whether rows can be written: neither on a standby, nor if transactions are read-only by default. */
export async function isWritable(db: Database): Promise<boolean> {
  return (await accessOf(db).catch(() => undefined)) === 'read-write'
}

async function accessOf(db: Database): Promise<'read-only' | 'read-write'> {
  const [row] = await db.query<{ readOnly: boolean }>(readAccess, [])
  return row!.readOnly ? 'read-only' : 'read-write'
}

const readAccess: Statement = {
  name: 'async-gen:read-access',
  text: `SELECT current_setting('transaction_read_only')::boolean AS "readOnly"`,
}
