import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { lingeringCalls } from '../attempt/lingering.js'
import type { Database } from '../core/database.js'
import { AsyncGenError } from '../core/errors.js'
import type { Statement } from '../core/statement.js'
import { isTransient } from '../core/transient-errors.js'
import { type Presence, presenceOf, releasePresence } from '../presence/presence.js'
import { toastsOf } from '../toast/registry.js'
import { warnOfSettings } from './client-settings.js'
import { Counters, onOperationEnd } from './counters.js'
import { logEnd, reportCrashes } from './crash-report.js'
import { parsedCrontab } from './crontab.js'
import { GRAPHILE_SCHEMA, loadGraphile } from './graphile-module.js'
import { GraphileRunner, type WorkerContext } from './graphile-runner.js'
import { serveHealth } from './health.js'
import { formatSeconds, graphileLogger, type Log, openLog } from './log.js'
import { runMaintenance } from './maintenance.js'
import { metrics } from './metrics.js'
import { registerQueueGauges } from './opentelemetry-gauges.js'
import { isWritable, unready, type WorkerState } from './readiness.js'
import { checkRowSecurity } from './row-security.js'
import { startSchedules } from './schedules.js'
import { type RunWorkerOptions, type WorkerSettings, workerSettings } from './settings.js'
import { aborted, listenForStopSignals } from './signals.js'
import { sweep } from './sweep.js'
import { loadTasks } from './tasks.js'

/** How long each step of the shutdown waits for a database that does not answer, in milliseconds. */
const CLOSE_TIMEOUT = 3000

/** How long the process may take to exit after a stop signal, once the worker has ended: the host may close its own connections. Milliseconds. */
const EXIT_GRACE = 4000

/**
 * When a worker gives up on Graphile Worker: after this many runners in a row that ended without a poll although PostgreSQL is writable,
 * not counting those that lost a connection; or after this many milliseconds of such runners.
 */
const FAILED_RUNNERS = { times: 5, milliseconds: 600_000 }

/**
 * Runs a worker until SIGTERM or SIGINT. First it installs or updates the Graphile Worker schema. After the signal, running jobs may take
 * `stopTimeout` to end. Then they are aborted. If they still run five seconds later, they are released for other workers and the process
 * exits with 1. A second signal aborts them at once.
 *
 * A worker that loses its session with PostgreSQL aborts its running jobs, which other workers then run, and connects again.
 *
 * It logs a line for each operation: for people on a terminal, as JSON elsewhere.
 *
 * @throws AsyncGenError INVALID_SETTING, INVALID_CRONTAB, INVALID_SCHEDULE, NO_TASKS, DEFINED_TWICE, NO_JOBS, NO_ROWS, NO_SESSION, HEALTH_NOT_SERVED,
 * NOT_MIGRATED; GRAPHILE_FAILED after repeated failures of Graphile Worker
 */
export async function runWorker(db: Database, options: RunWorkerOptions): Promise<void> {
  const settings = workerSettings(options, process.env)
  const signals = listenForStopSignals()
  const log = openLog(settings.log)
  const counters = new Counters()
  const unsubscribe = onOperationEnd((operation, event) => {
    counters.add(operation, event)
    log.operation(operation, event)
  })
  // The runtime's connections do not keep a process alive. This timer does.
  const keepAlive = setInterval(() => {}, 2 ** 30)
  const done = new AbortController()
  const running: WorkerContext['running'] = new Set()
  const state: WorkerState = { runner: undefined, presence: undefined }
  const stopReporting = reportCrashes(log)
  let maintenance: Promise<void> | undefined
  let removeGauges = () => {}
  let health: Awaited<ReturnType<typeof serveHealth>> | undefined
  let thrown: { error: unknown } | undefined
  signals.stop.addEventListener('abort', () => {
    const { size } = running
    const jobs = size === 1 ? '1 running job' : `${size} running jobs`
    const wait = `waits up to ${settings.stopTimeout / 1000} s for ${jobs}. Press Ctrl-C again to abort them.`
    log.message('info', `Stopping: ${size > 0 ? wait : 'no job is running.'}`)
  })
  try {
    if (settings.health) {
      health = await serveHealth(settings.health, {
        unready: () => unready(db, signals.stop, state),
        metrics: () => metrics(db, counters, state.runner?.secondsSincePoll),
      })
    }
    const ready = await Promise.race([prepareWorker(db, settings, log, signals.stop), aborted(signals.stop)])
    if (!ready) return
    const { first, ...loaded } = ready
    maintenance = runMaintenance(db, settings, log, done.signal)
    removeGauges = registerQueueGauges(db)
    const started = (presence: Presence) => {
      const address = health && { health: `${health.host}:${health.port}` }
      log.message('info', startMessage(presence, settings, Object.keys(loaded.tasks)), address)
      // For a parent with an IPC channel (async-gen-worker, pm2). An error means that the parent is gone.
      process.send?.('ready', undefined, undefined, () => {})
    }
    const logger = settings.logger ?? graphileLogger(loaded.graphile, log)
    let areSettingsChecked = false
    // Only with the first job: the first query of a PrismaClient loads its query compiler, which doubles the memory of an idle worker.
    const jobStarted = () => {
      if (!areSettingsChecked) void warnOfSettings(db, log)
      areSettingsChecked = true
    }
    const hooks = { started, jobStarted }
    const context: WorkerContext = { ...loaded, ...hooks, db, settings, signals, running, logger, log }
    await runUntilStopped(context, first, state)
  } catch (error) {
    thrown = { error }
    throw error
  } finally {
    signals.release()
    done.abort()
    removeGauges()
    await withTimeout(CLOSE_TIMEOUT, releaseWork(db, maintenance))
    unsubscribe()
    if (state.presence) log.message('info', stopMessage(counters, running.size))
    if (thrown !== undefined) logEnd(log, thrown.error)
    // A job that ignores its abort signal would keep the process alive. The runs of lingering calls have ended.
    if (running.size > 0) process.exit(1)
    if (lingeringCalls(db).size > 0) process.exit(thrown === undefined ? 0 : 1)
    health?.close()
    await withTimeout(CLOSE_TIMEOUT, closeConnections(db))
    db.dropConnections()
    // If the host does not catch the error, the handler that prevents a second report must still be there.
    if (thrown !== undefined) setImmediate(stopReporting)
    else stopReporting()
    clearInterval(keepAlive)
    // Connections of the host whose server does not answer would keep it alive, too.
    if (signals.stop.aborted) setTimeout(() => process.exit(), EXIT_GRACE).unref()
  }
}

/** Everything before the first job. Undefined after a stop signal. */
async function prepareWorker(
  db: Database,
  settings: WorkerSettings,
  log: Log,
  stop: AbortSignal,
): Promise<(Pick<WorkerContext, 'graphile' | 'tasks' | 'cronItems'> & { first: Presence }) | undefined> {
  const graphile = await loadGraphile()
  const cronItems = parsedCrontab(graphile, settings.crontab)
  const tasks = await loadTasks(settings.tasks)
  toastsOf(db).refuseDuplicates()
  // A database that cannot be reached now is an error. After this, lost connections are opened again.
  await db.query(checkConnection, [])
  const first = await retryUntilStopped(log, stop, isTransient, async () => {
    await graphile.runMigrations({ pgPool: db.pool, schema: GRAPHILE_SCHEMA })
    await checkRowSecurity(db, log)
    const presence = await presenceOf(db)
    await startSchedules(db, log)
    return presence
  })
  if (!first) return undefined
  // The maintenance logs an error of a table.
  await sweep(db).catch(() => {})
  return { graphile, tasks, cronItems, first }
}

/** Starts a new runner after a lost session, or after Graphile Worker has failed, hung or stopped by itself. */
async function runUntilStopped(context: WorkerContext, first: Presence, state: WorkerState): Promise<void> {
  const { db, signals, log } = context
  let failures = 0
  let failingSince = performance.now()
  let presence: Presence | undefined = first
  while (presence) {
    const runner = new GraphileRunner(context, presence)
    Object.assign(state, { runner, presence })
    const end = await runner.run()
    if (end === 'stopped') return
    if (end === 'nothing left') {
      // One sweep checks a limited number of rows for missing jobs.
      if ((await sweep(db)).enqueued === 0) return
      continue
    }
    if (end === 'session lost') {
      log.message('error', 'The session with PostgreSQL was lost. Running jobs were aborted. Connecting again.')
    } else {
      if (runner.hasPolled) {
        failures = 0
        failingSince = performance.now()
      }
      // A lost connection is not a failure of Graphile Worker.
      if (!isTransient(end)) failures++
      const isTooLong = performance.now() - failingSince > FAILED_RUNNERS.milliseconds
      if ((failures >= FAILED_RUNNERS.times || isTooLong) && (await isWritable(db)))
        throw graphileFailed(failingSince, end)
      log.message('error', `Graphile Worker takes no more jobs: ${end.message}. Restarting it.`)
      // The next runner gets another presence, so that the sweep unlocks the jobs of this one.
      await withTimeout(
        CLOSE_TIMEOUT,
        releasePresence(db).catch(() => {}),
      )
      await sleep(Math.min(1000 * (failures + 1), 5000), undefined, { signal: signals.stop }).catch(() => {})
    }
    // After a failover, any connection may be half open.
    db.dropConnections()
    presence = await retryUntilStopped(
      log,
      signals.stop,
      () => true,
      () => presenceOf(db),
    )
  }
}

function graphileFailed(since: number, cause: Error): AsyncGenError {
  return new AsyncGenError(
    'GRAPHILE_FAILED',
    `Graphile Worker was restarted for ${formatSeconds((performance.now() - since) / 1000)} and fetched no jobs, ` +
      `although PostgreSQL answers. Its last error: ${cause.message}`,
    { cause },
  )
}

/** Tries once a second until it succeeds. Undefined after a stop signal. */
async function retryUntilStopped<Result>(
  log: Log,
  stop: AbortSignal,
  canRetry: (error: unknown) => boolean,
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  for (let tries = 0; !stop.aborted; tries++) {
    try {
      return await work()
    } catch (error) {
      if (!canRetry(error)) throw error
      if (tries === 0)
        log.message('error', `PostgreSQL cannot be used: ${(error as Error).message}. Trying again every second.`)
      await sleep(1000, undefined, { signal: stop }).catch(() => {})
    }
  }
  return undefined
}

/** Releases the presence and sweeps, so that other workers can run unfinished work at once. */
async function releaseWork(db: Database, maintenance: Promise<void> | undefined): Promise<void> {
  await maintenance
  await releasePresence(db)
  await sweep(db).catch(() => {})
  // The sweep has acquired a presence again.
  await releasePresence(db)
}

async function closeConnections(db: Database): Promise<void> {
  await db.close()
  await db.disconnectPrisma()
}

function startMessage({ id }: Presence, { concurrency }: WorkerSettings, tasks: string[]): string {
  return `Worker ${id} on ${hostname()}, process ${process.pid}, runs up to ${concurrency} jobs at a time. Tasks: ${tasks.join(', ')}`
}

function stopMessage(counters: Counters, left: number): string {
  const parts = [
    `${counters.total('succeeded')} succeeded`,
    `${counters.total('retried')} failed and will be retried`,
    `${counters.total('failed')} failed for good`,
    ...(left > 0 ? [`${left} released for other workers`] : []),
  ]
  return `Stopped after ${formatSeconds(process.uptime())}: ${parts.join(', ')}.`
}

const checkConnection: Statement = { name: 'async-gen:check-connection', text: 'SELECT 1' }

async function withTimeout(timeout: number, work: Promise<void>): Promise<void> {
  await Promise.race([work, sleep(timeout, undefined, { ref: false })])
}
