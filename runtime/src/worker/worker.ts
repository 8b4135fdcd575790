import { setTimeout as sleep } from 'node:timers/promises'
import { runMigrations, type TaskList } from 'graphile-worker'
import type { Database } from '../database.js'
import { leave, type Presence, presenceOf } from '../presence.js'
import { type RunWorkerOptions, type Settings, settingsOf } from './settings.js'
import { workShift } from './shift.js'
import { type Stopping, stopOnSignals } from './stopping.js'
import { sweep } from './sweep.js'
import { type JobInHand, loadTasks } from './tasks.js'

/**
 * Runs a worker until the process is told to stop (SIGTERM, SIGINT). Then the tasks at hand may finish, for as long as
 * `stopTimeout`; then they are aborted; then they are left for the other workers, and the process exits with 1. A second signal
 * skips the wait. The Graphile Worker schema is installed or brought up to date first.
 *
 * A worker that loses its session with PostgreSQL aborts what it has in hand, which others take over, and begins anew.
 */
export async function runWorker(db: Database, options: RunWorkerOptions): Promise<void> {
  const settings = settingsOf(options, process.env)
  const stopping = stopOnSignals()
  // The runtime's connections let a process end that has nothing else to do; a worker waits.
  const alive = setInterval(() => {}, 2 ** 30)
  const done = new AbortController()
  const inHand = new Set<JobInHand>()
  let sweeping: Promise<void> | undefined
  try {
    const tasks = await loadTasks(settings.tasks)
    await runMigrations({ pgPool: db.pool })
    const presence = await presenceOf(db)
    await sweep(db)
    sweeping = keepSweeping(db, settings.sweepEvery, done.signal)
    await work(db, presence, tasks, settings, stopping, inHand)
  } finally {
    stopping.release()
    done.abort()
    await within(GOING_HOME, goHome(db, sweeping))
    // What ignores its signal would keep the process from ending.
    if (inHand.size > 0) process.exit(1)
    await within(GOING_HOME, hangUp(db))
    clearInterval(alive)
  }
}

/** How long a worker that has stopped waits for a database that does not answer, in milliseconds. */
const GOING_HOME = 3000

/** One shift after the other, each under a presence of its own, until the worker is told to stop. */
async function work(
  db: Database,
  first: Presence,
  tasks: TaskList,
  settings: Settings,
  stopping: Stopping,
  inHand: Set<JobInHand>,
): Promise<void> {
  let presence: Presence | undefined = first
  while (presence) {
    await workShift(db, presence, tasks, settings, stopping, inHand)
    if (!presence.lost.aborted || stopping.asked.aborted) return
    console.error('The session with PostgreSQL was lost, and what was in hand was aborted. Connecting again.')
    presence = await enterAgain(db, stopping.asked)
  }
}

/** Tries until PostgreSQL answers, or the worker is told to stop. */
async function enterAgain(db: Database, stop: AbortSignal): Promise<Presence | undefined> {
  while (!stop.aborted) {
    try {
      return await presenceOf(db)
    } catch {
      await sleep(1000, undefined, { signal: stop }).catch(() => {})
    }
  }
  return undefined
}

async function keepSweeping(db: Database, every: number, done: AbortSignal): Promise<void> {
  while (true) {
    await sleep(every, undefined, { signal: done }).catch(() => {})
    if (done.aborted) return
    await sweep(db).catch((error) => console.error(`The sweep failed and is tried again: ${error.message}`))
  }
}

/** Ends the presence, then sweeps once more: what was left in hand passes to the other workers at once. */
async function goHome(db: Database, sweeping: Promise<void> | undefined): Promise<void> {
  await sweeping
  await leave(db)
  await sweep(db).catch(() => {})
}

async function hangUp(db: Database): Promise<void> {
  await db.close()
  await db.prisma.$disconnect?.()
}

async function within(limit: number, work: Promise<void>): Promise<void> {
  await Promise.race([work, sleep(limit, undefined, { ref: false })])
}
