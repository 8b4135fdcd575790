import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { runMigrations, type TaskList } from 'graphile-worker'
import type { Database } from '../core/database.js'
import { AsyncGenError } from '../core/errors.js'
import type { Statement } from '../core/statement.js'
import { isTransient } from '../core/transient-errors.js'
import { leave, type Presence, presenceOf } from '../presence/presence.js'
import { toastsOf } from '../toast/registry.js'
import { warnOfSettings } from './client-settings.js'
import { Counters, onWorkDone } from './counters.js'
import { logEnd, reportCrashes } from './crash-report.js'
import { GraphileRunner, type WorkerContext } from './graphile-runner.js'
import { serveHealth } from './health.js'
import { graphileLogger, type Log, openLog, readable } from './log.js'
import { doChores } from './maintenance.js'
import { metrics } from './metrics.js'
import { offerState } from './opentelemetry-gauges.js'
import { isWritable, unready, type WorkerState } from './readiness.js'
import { checkRowSecurity } from './row-security.js'
import { type RunWorkerOptions, type Settings, settingsOf } from './settings.js'
import { aborted, stopOnSignals } from './signals.js'
import { sweep } from './sweep.js'
import { loadTasks } from './tasks.js'

/** How long a worker that has stopped waits for a database that does not answer, in milliseconds. */
const GOING_HOME = 3000

/** How long what comes after that may take, in a process that was told to stop: the host's own last words. In milliseconds. */
const FAREWELL = 4000

/**
 * How often in a row Graphile Worker may end without having polled once, although PostgreSQL can be written to; and for how long in all,
 * in milliseconds, where each time a connection was lost.
 */
const FAILED_RUNNERS = { times: 5, milliseconds: 600_000 }

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
  const counters = new Counters()
  const unsubscribe = onWorkDone((operation, event) => {
    counters.add(operation, event)
    log.done(operation, event)
  })
  // The runtime's connections let a process end that has nothing else to do; a worker waits.
  const alive = setInterval(() => {}, 2 ** 30)
  const done = new AbortController()
  const running: WorkerContext['running'] = new Set()
  const state: WorkerState = { runner: undefined, presence: undefined }
  const stopReporting = reportCrashes(log)
  let chores: Promise<void> | undefined
  let withdraw = () => {}
  let health: Awaited<ReturnType<typeof serveHealth>> | undefined
  let failure: { cause: unknown } | undefined
  stopping.asked.addEventListener('abort', () => {
    const seconds = settings.stopTimeout / 1000
    log.say(
      'info',
      `Stopping: waits up to ${seconds} s for ${running.size} running jobs. Press Ctrl-C again to abort them.`,
    )
  })
  try {
    if (settings.health) {
      health = await serveHealth(settings.health, {
        unready: () => unready(db, stopping.asked, state),
        metrics: () => metrics(db, counters, state.runner?.secondsSincePoll),
      })
    }
    const ready = await Promise.race([getReady(db, settings, log, stopping.asked), aborted(stopping.asked)])
    if (!ready) return
    const { tasks, first } = ready
    void warnOfSettings(db, log)
    chores = doChores(db, settings, log, done.signal)
    withdraw = offerState(db)
    const started = (presence: Presence) => {
      const address = health && { health: `${health.host}:${health.port}` }
      log.say('info', greeting(presence, settings, Object.keys(tasks)), address)
      // Whoever started the process with a channel (async-gen-worker, pm2) learns that it is up; that they are gone does not matter.
      process.send?.('ready', undefined, undefined, () => {})
    }
    const logger = settings.logger ?? graphileLogger(log)
    const context: WorkerContext = { db, tasks, settings, stopping, running, logger, log, started }
    await runUntilStopped(context, first, state)
  } catch (error) {
    failure = { cause: error }
    throw error
  } finally {
    stopping.release()
    done.abort()
    withdraw()
    await within(GOING_HOME, goHome(db, chores))
    unsubscribe()
    if (state.presence) log.say('info', summary(counters, running.size))
    if (failure !== undefined) logEnd(log, failure.cause)
    // What ignores its signal would keep the process from ending.
    if (running.size > 0) process.exit(1)
    health?.close()
    await within(GOING_HOME, hangUp(db))
    db.dropConnections()
    // A host that does not catch what ended the worker would have Node print it again.
    if (failure !== undefined) setImmediate(stopReporting)
    else stopReporting()
    clearInterval(alive)
    // Nor may connections of the host's keep it, whose server does not answer their farewell.
    if (stopping.asked.aborted) setTimeout(() => process.exit(), FAREWELL).unref()
  }
}

/** All that comes before the first job. */
async function getReady(
  db: Database,
  settings: Settings,
  log: Log,
  stop: AbortSignal,
): Promise<{ tasks: TaskList; first: Presence } | undefined> {
  const tasks = await loadTasks(settings.tasks)
  toastsOf(db).refuseClashes()
  // A database that cannot be reached at all is an error at once. From then on a lost connection is opened again.
  await db.query(firstContact, [])
  const first = await untilItSucceeds(log, stop, isTransient, async () => {
    await runMigrations({ pgPool: db.pool })
    await checkRowSecurity(db, log)
    return await presenceOf(db)
  })
  if (!first) return undefined
  // A table that is not there yet holds up no other; the chores say so.
  await sweep(db).catch(() => {})
  return { tasks, first }
}

/** One runner after the other: a lost session, or a Graphile Worker that fails, hangs or ends unasked, leads to the next. */
async function runUntilStopped(context: WorkerContext, first: Presence, state: WorkerState): Promise<void> {
  const { db, stopping, log } = context
  let failures = 0
  let failingSince = performance.now()
  let presence: Presence | undefined = first
  while (presence) {
    const runner = new GraphileRunner(context, presence)
    Object.assign(state, { runner, presence })
    const end = await runner.run()
    if (end === 'stopped') return
    if (end === 'nothing left') {
      // More jobs may have been lost than one sweep sees.
      if ((await sweep(db)).enqueued === 0) return
      continue
    }
    if (end === 'session lost') {
      log.say('error', 'The session with PostgreSQL was lost, and the running jobs were aborted. Connecting again.')
    } else {
      if (runner.hasPolled) {
        failures = 0
        failingSince = performance.now()
      }
      // A lost connection says nothing about Graphile Worker: the next runner may have a better one.
      if (!isTransient(end)) failures++
      const isTooLong = performance.now() - failingSince > FAILED_RUNNERS.milliseconds
      if ((failures >= FAILED_RUNNERS.times || isTooLong) && (await isWritable(db))) throw gaveUp(failingSince, end)
      log.say('error', `Graphile Worker takes no more work: ${end.message}. It is started again.`)
      // Under another presence, so that the sweep frees the jobs that it has left.
      await within(
        GOING_HOME,
        leave(db).catch(() => {}),
      )
      await sleep(Math.min(1000 * (failures + 1), 5000), undefined, { signal: stopping.asked }).catch(() => {})
    }
    // The server may be gone without a word, and with it the other end of all connections, or of some.
    db.dropConnections()
    presence = await untilItSucceeds(
      log,
      stopping.asked,
      () => true,
      () => presenceOf(db),
    )
  }
}

function gaveUp(since: number, cause: Error): AsyncGenError {
  return new AsyncGenError(
    'GRAPHILE_FAILED',
    `Graphile Worker was started again and again for ${readable((performance.now() - since) / 1000)} and fetched nothing, ` +
      `although PostgreSQL answers: ${cause.message}`,
    { cause },
  )
}

/** Tries once a second until it succeeds. Undefined where the worker is told to stop before. */
async function untilItSucceeds<Result>(
  log: Log,
  stop: AbortSignal,
  canPass: (error: unknown) => boolean,
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  for (let tries = 0; !stop.aborted; tries++) {
    try {
      return await work()
    } catch (error) {
      if (!canPass(error)) throw error
      if (tries === 0) log.say('error', `PostgreSQL cannot be used, trying again: ${(error as Error).message}`)
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

function summary(counters: Counters, left: number): string {
  const parts = [
    `${counters.total('succeeded')} succeeded`,
    `${counters.total('retried')} failed and are tried again`,
    `${counters.total('failed')} failed for good`,
    ...(left > 0 ? [`${left} left to other workers`] : []),
  ]
  return `Stopped after ${readable(process.uptime())}: ${parts.join(', ')}.`
}

const firstContact: Statement = { name: 'async-gen:first-contact', text: 'SELECT 1' }

async function within(limit: number, work: Promise<void>): Promise<void> {
  await Promise.race([work, sleep(limit, undefined, { ref: false })])
}
