import { setTimeout as sleep } from 'node:timers/promises'
import { db } from './database.js'

/** Writes down, where it cannot be taken back, that something happened in this process. */
export async function note(what: string): Promise<void> {
  await db.pool.query('INSERT INTO effects (what, pid) VALUES ($1, $2)', [what, process.pid])
}

/** How often that has happened, in all processes. */
export async function count(what: string): Promise<number> {
  const { rows } = await db.pool.query('SELECT FROM effects WHERE what = $1', [what])
  return rows.length
}

/** Writes down that something has begun, and never comes to an end unless somebody has said that it may: then at once. */
export async function holdUntilReleased(what: string, signal?: AbortSignal): Promise<void> {
  await note(`${what} began`)
  while (!(await released())) await sleep(100, undefined, signal && { signal })
  await note(`${what} ended`)
}

async function released(): Promise<boolean> {
  const { rows } = await db.pool.query(`SELECT FROM effects WHERE what = 'released'`)
  return rows.length > 0
}
