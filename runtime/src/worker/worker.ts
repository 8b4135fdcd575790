import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { runMigrations, type TaskList } from 'graphile-worker'
import type { Database, Statement } from '../database.js'
import { AsyncGenError } from '../errors.js'
import { leave, type Presence, presenceOf } from '../presence.js'
import { toastsOf } from '../toast/registry.js'
import { doChores } from './chores.js'
import { warnOfSettings } from './client-settings.js'
import { offerState } from './gauges.js'
import { serveHealth } from './health.js'
import { graphileLogger, type Log, openLog, readable } from './log.js'
import { metrics } from './metrics.js'
import { type RunWorkerOptions, type Settings, settingsOf } from './settings.js'
import { type Workplace, workShift } from './shift.js'
import { aborted, stopOnSignals } from './stopping.js'
import { sweep } from './sweep.js'
import { onWorkDone, Tally } from './tally.js'
import { loadTasks } from './tasks.js'

/** How long a worker that has stopped waits for a database that does not answer, in milliseconds. */
const GOING_HOME = 3000

/** How long what comes after that may take, in a process that was told to stop: the host's own last words. In milliseconds. */
const FAREWELL = 4000

/**
 * Runs a worker until the process is told to stop (SIGTERM, SIGINT). Then the tasks at hand may finish, for as long as
 * `stopTimeout`; then they are aborted; then they are left for the other workers, and the process exits with 1. A second signal
 * skips the wait. The Graphile Worker schema is installed or brought up to date first.
 *
 * A worker that loses its session with PostgreSQL aborts what it has in hand, which others take over, and begins anew.
 *
 * It prints a line for each thing that it has done: for people on a terminal, as JSON elsewhere.
 */
export async function runWorker(db: Database, options: RunWorkerOptions): Promise<void> {
  const settings = settingsOf(options, process.env)
  const stopping = stopOnSignals()
  const log = openLog(settings.log)
  const tally = new Tally()
  const unsubscribe = onWorkDone((deed, telling) => {
    tally.add(deed, telling)
    log.done(deed, telling)
  })
  // The runtime's connections let a process end that has nothing else to do; a worker waits.
  const alive = setInterval(() => {}, 2 ** 30)
  const done = new AbortController()
  const inHand: Workplace['inHand'] = new Set()
  let atWork: Presence | undefined
  let chores: Promise<void> | undefined
  let withdraw = () => {}
  let health: Awaited<ReturnType<typeof serveHealth>> | undefined
  stopping.asked.addEventListener('abort', () => {
    log.say('info', `Stopping: ${inHand.size} in hand may finish. Tell it once more to hurry.`)
  })
  try {
    if (settings.health) {
      health = await serveHealth(settings.health, {
        unready: () => unready(db, stopping.asked, atWork),
        metrics: () => metrics(db, tally),
      })
    }
    const ready = await Promise.race([getReady(db, settings), aborted(stopping.asked)])
    if (!ready) return
    const { tasks, first } = ready
    void warnOfSettings(db, log)
    chores = doChores(db, settings, log, done.signal)
    withdraw = offerState(db)
    const begun = (presence: Presence) => {
      atWork = presence
      const address = health && { health: `${health.host}:${health.port}` }
      log.say('info', greeting(presence, settings, Object.keys(tasks)), address)
      // Whoever started the process with a channel (async-worker, pm2) learns that it is up; that they are gone does not matter.
      process.send?.('ready', undefined, undefined, () => {})
    }
    const logger = settings.logger ?? graphileLogger(log)
    const workplace: Workplace = { db, tasks, settings, stopping, inHand, logger, begun }
    for await (const presence of presences(workplace, first, log)) {
      await workShift(workplace, presence).catch((error) => {
        // While PostgreSQL comes and goes, a shift may fail before it has begun.
        if (!presence.lost.aborted) throw error
      })
    }
  } finally {
    stopping.release()
    done.abort()
    withdraw()
    await within(GOING_HOME, goHome(db, chores))
    unsubscribe()
    if (atWork) log.say('info', summary(tally, inHand.size))
    // What ignores its signal would keep the process from ending.
    if (inHand.size > 0) process.exit(1)
    health?.close()
    await within(GOING_HOME, hangUp(db))
    db.dropConnections()
    clearInterval(alive)
    // Nor may connections of the host's keep it, whose server does not answer their farewell.
    if (stopping.asked.aborted) setTimeout(() => process.exit(), FAREWELL).unref()
  }
}

/** All that comes before the first job. */
async function getReady(db: Database, settings: Settings): Promise<{ tasks: TaskList; first: Presence }> {
  const tasks = await loadTasks(settings.tasks)
  toastsOf(db).refuseClashes()
  await runMigrations({ pgPool: db.pool })
  await requireJobs(db)
  const first = await presenceOf(db)
  // A table that is not there yet holds up no other; the chores say so.
  await sweep(db).catch(() => {})
  return { tasks, first }
}

/** Graphile Worker's tables have row security and no policies: a role with all rights to them sees no jobs, and no error. */
async function requireJobs(db: Database): Promise<void> {
  const [row] = await db.query<{ role: string; blind: boolean; owner: string }>(seesJobs, [])
  if (!row?.blind) return
  throw new AsyncGenError(
    'NO_JOBS',
    `The role ${row.role} cannot see Graphile Worker's jobs, as it does not own them. ` +
      `Connect as ${row.owner}, or make it a member: GRANT "${row.owner}" TO "${row.role}"`,
  )
}

/** The presence that the worker begins with, and another one each time that it has lost the one before, or Graphile Worker has given up. */
async function* presences({ db, settings, stopping }: Workplace, first: Presence, log: Log): AsyncGenerator<Presence> {
  const stop = stopping.asked
  let presence: Presence | undefined = first
  while (presence) {
    yield presence
    if (stop.aborted) return
    if (presence.lost.aborted) {
      log.say('error', 'The session with PostgreSQL was lost, and what was in hand was aborted. Connecting again.')
      // Its server may be gone without a word, and with it the other end of all connections.
      db.dropConnections()
    } else if (settings.once) {
      // More jobs may have been lost than one sweep sees.
      if ((await sweep(db)).enqueued === 0) return
      continue
    } else {
      log.say('error', 'Graphile Worker has stopped by itself. Beginning anew.')
      // The next sweep frees what it has left.
      await leave(db)
      await sleep(1000, undefined, { signal: stop }).catch(() => {})
    }
    presence = await enterAgain(db, stop)
  }
}

async function unready(db: Database, asked: AbortSignal, presence: Presence | undefined): Promise<string | undefined> {
  if (asked.aborted) return 'stopping'
  if (!presence) return 'starting'
  if (presence.lost.aborted) return 'connecting again'
  const answered = db.pool.query('SELECT 1').then(() => true)
  return (await Promise.race([answered, sleep(2000, false, { ref: false })])) ? undefined : 'PostgreSQL does not answer'
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

/** Ends the presence, then sweeps once more: what was left in hand passes to the other workers at once. */
async function goHome(db: Database, chores: Promise<void> | undefined): Promise<void> {
  await chores
  await leave(db)
  await sweep(db).catch(() => {})
  // The sweep has entered again, for as long as it took.
  await leave(db)
}

async function hangUp(db: Database): Promise<void> {
  await db.close()
  await db.disconnectPrisma()
}

function greeting({ id }: Presence, { concurrency }: Settings, tasks: string[]): string {
  return `Worker ${id} on ${hostname()}, process ${process.pid}, takes ${concurrency} at a time of: ${tasks.join(', ')}`
}

function summary(tally: Tally, left: number): string {
  const parts = [
    `${tally.total('succeeded')} succeeded`,
    `${tally.total('retried')} failed and are tried again`,
    `${tally.total('failed')} failed for good`,
    ...(left > 0 ? [`${left} left to other workers`] : []),
  ]
  return `Stopped after ${readable(process.uptime())}: ${parts.join(', ')}.`
}

const seesJobs: Statement = {
  name: 'async-gen:sees-jobs',
  text: `
    SELECT current_user::text AS role, row_security_active(oid) AS blind, pg_get_userbyid(relowner)::text AS owner
    FROM pg_class WHERE oid = to_regclass('graphile_worker._private_jobs')`,
}

async function within(limit: number, work: Promise<void>): Promise<void> {
  await Promise.race([work, sleep(limit, undefined, { ref: false })])
}
