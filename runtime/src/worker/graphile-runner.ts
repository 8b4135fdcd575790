import { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger, ParsedCronItem, RunnerOptions, TaskList, WorkerPool } from 'graphile-worker'
import type { Database } from '../core/database.js'
import type { Presence } from '../presence/presence.js'
import { GRAPHILE_SCHEMA, type GraphileModule } from './graphile-module.js'
import { GraphilePool } from './graphile-pool.js'
import type { Log } from './log.js'
import type { WorkerSettings } from './settings.js'
import { aborted, type StopSignals } from './signals.js'
import { type RunningJob, watchTasks } from './tasks.js'
import { Watchdog } from './watchdog.js'

/** What all Graphile runners of one worker share. They run one after the other. */
export interface WorkerContext {
  db: Database
  graphile: GraphileModule
  tasks: TaskList
  cronItems: ParsedCronItem[]
  settings: WorkerSettings
  signals: StopSignals
  /** The running jobs of this runner and of earlier ones that were abandoned. */
  running: Set<RunningJob>
  /** Receives Graphile Worker's messages. */
  logger: Logger
  log: Log
  /** Called when a runner takes jobs and its pool is recorded. */
  started(presence: Presence): void
  /** Called when a job starts. */
  jobStarted(): void
}

/**
 * Why a runner ended: a stop signal, a lost session with PostgreSQL, no due jobs (with `once`), or an error.
 */
export type RunnerEnd = 'stopped' | 'session lost' | 'nothing left' | Error

/** How long aborted jobs may take to end, in milliseconds. `urgent`: after a second signal or a lost session. */
const ABORT_TIMEOUT = { normal: 5000, urgent: 1000 }

/** How often to warn that statements are retried, in milliseconds. */
const WARNING_INTERVAL = 60_000

/** How long a runner may take to end once it has no running jobs and no running statement, in milliseconds. */
const IDLE_TIMEOUT = 3000

/**
 * Runs Graphile Worker for as long as one presence lasts. If Graphile Worker fails, hangs or stops by itself, the runner ends within fixed
 * timeouts, and the sweep unlocks its jobs.
 */
export class GraphileRunner {
  readonly #context: WorkerContext
  readonly #presence: Presence
  /** The running jobs of this runner. */
  readonly #running = new Set<RunningJob>()
  readonly #jobs = new AbortController()
  readonly #failed = new AbortController()
  readonly #pool: GraphilePool
  readonly #watchdog: Watchdog
  #announced: Promise<void> = Promise.resolve()
  #nextWarningAt = 0

  constructor(context: WorkerContext, presence: Presence) {
    const { db, settings, tasks, log } = context
    this.#context = context
    this.#presence = presence
    this.#pool = new GraphilePool(db.pool, {
      pollInterval: settings.pollInterval,
      announced: () => this.#announced,
      onRetry: ({ message }) => {
        if (performance.now() < this.#nextWarningAt) return
        this.#nextWarningAt = performance.now() + WARNING_INTERVAL
        log.message('warning', `A statement of Graphile Worker failed and will be retried: ${message}`)
      },
    })
    this.#watchdog = new Watchdog(db, {
      pollInterval: settings.pollInterval,
      tasks: Object.keys(tasks),
      runningJobs: () => this.#running,
      canPoll: () => this.#running.size < (settings.once ? 1 : settings.concurrency),
      isWaiting: () => this.#pool.waiting > 0,
      onProblem: (reason) => this.#fail(reason),
    })
  }

  /** Seconds with a free slot and without a successful poll. 0 while all slots are busy. */
  get secondsSincePoll(): number {
    return this.#watchdog.secondsSincePoll
  }

  /** Whether a poll for jobs has ever succeeded. */
  get hasPolled(): boolean {
    return this.#watchdog.hasPolled
  }

  /** Why no jobs are taken now; undefined if they are. */
  get problem(): string | undefined {
    if (this.#failed.signal.aborted) return 'Graphile Worker is restarting'
    return this.#watchdog.problem
  }

  /** Runs until a stop signal, a lost session or the end of Graphile Worker. Jobs that do not end stay in `running`. */
  async run(): Promise<RunnerEnd> {
    const { signals, started } = this.#context
    const { lost } = this.#presence
    const graphile = this.#startGraphile()
    graphile.starting.then(() => started(this.#presence)).catch(() => {})
    this.#watchdog.start()

    const ended = graphile.ended.catch((error: Error) => error)
    const end = await Promise.race([ended, aborted(signals.stop, lost, this.#failed.signal)])
    this.#watchdog.stop()
    if (end === undefined) await this.#stop(graphile)
    this.#pool.close()
    if (signals.stop.aborted) return 'stopped'
    if (lost.aborted) return 'session lost'
    return end ?? this.#failed.signal.reason
  }

  async #stop({ ended, stop }: Graphile): Promise<void> {
    const { settings, signals } = this.#context
    const { lost } = this.#presence
    const finished = Promise.allSettled([stop(), ended]).then(() => this.#jobsEnded())
    const urgent = AbortSignal.any([signals.abort, lost])
    await Promise.race([finished, aborted(urgent), this.#idle(), pause(settings.stopTimeout)])
    this.#jobs.abort(lost.aborted ? lost.reason : new Error('The worker is stopping.'))
    await Promise.race([finished, this.#idle(), pause(urgent.aborted ? ABORT_TIMEOUT.urgent : ABORT_TIMEOUT.normal)])
  }

  /** Resolves when no job of this runner runs. When the worker stops, the jobs of abandoned runners count too. */
  async #jobsEnded(): Promise<void> {
    while (this.#awaitedJobs.size > 0 && !this.#pool.isClosed) await pause(50)
  }

  get #awaitedJobs(): ReadonlySet<RunningJob> {
    return this.#context.signals.stop.aborted ? this.#context.running : this.#running
  }

  /** Resolves when no job and no statement has run for some time: Graphile Worker has nothing left to wait for. */
  async #idle(): Promise<void> {
    for (let since = performance.now(); performance.now() - since < IDLE_TIMEOUT && !this.#pool.isClosed; ) {
      await pause(100)
      if (this.#awaitedJobs.size > 0 || this.#pool.waiting > 0) since = performance.now()
    }
  }

  #startGraphile(): Graphile {
    const { settings, logger, graphile, cronItems } = this.#context
    const { concurrency, once, pollInterval, prefetch } = settings
    const taskList = watchTasks(this.#context.tasks, [this.#running, this.#context.running], this.#jobs.signal)
    const events = this.#listen(Object.keys(taskList))
    const options: RunnerOptions = {
      pgPool: this.#pool.pool,
      schema: GRAPHILE_SCHEMA,
      events,
      taskList,
      concurrency,
      pollInterval,
      noHandleSignals: true,
      preset: {
        extends: [graphile.WorkerPreset],
        worker: {
          ...(prefetch > 0 && { localQueue: { size: prefetch } }),
          // Batches of any size: a job that cannot be completed then ends the runner. Without batches, it would be an unhandled rejection.
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0,
        },
      },
      logger,
    }
    if (once) {
      const shutdown = shutdownOf(events)
      const ended = graphile.runOnce(options).then(() => 'nothing left' as const)
      return { starting: Promise.resolve(), ended, stop: async () => await (await shutdown)() }
    }
    const starting = graphile.run({ ...options, parsedCronItems: cronItems })
    return {
      starting: starting.then(() => this.#announced),
      ended: starting.then(async (runner) => {
        await runner.promise
        return new Error('it stopped by itself')
      }),
      stop: async () => await (await starting).stop(),
    }
  }

  #listen(tasks: string[]): EventEmitter {
    const events = new EventEmitter()
    const polled = () => this.#watchdog.polled()
    events.once('pool:create', ({ workerPool }: { workerPool: { id: string } }) => {
      this.#watchdog.poolCreated(workerPool.id)
      this.#announced = announce(this.#presence, workerPool.id, tasks)
      this.#announced.catch(() => {})
    })
    events.on('worker:getJob:empty', polled)
    events.on('job:start', ({ job }: { job: { id: string } }) => {
      polled()
      this.#watchdog.jobStarted(job)
      this.#context.jobStarted()
    })
    events.on('localQueue:getJobs:complete', ({ jobs }: { jobs: { id: string }[] }) => {
      polled()
      this.#watchdog.prefetched(jobs)
    })
    events.on('localQueue:returnJobs', ({ jobs }: { jobs: { id: string }[] }) => this.#watchdog.returned(jobs))
    events.on('pool:fatalError', ({ error, action }: { error: unknown; action: string }) => {
      this.#fail(`${action} failed: ${error instanceof Error ? error.message : error}`, error)
    })
    // With `once`, Graphile Worker shuts down when nothing is due.
    if (!this.#context.settings.once) {
      events.on('pool:gracefulShutdown', ({ message }: { message: string }) => this.#fail(message))
    }
    return events
  }

  #fail(reason: string, cause?: unknown): void {
    this.#failed.abort(new Error(reason, { cause }))
  }
}

interface Graphile {
  /** Resolves when the pool is recorded. */
  starting: Promise<unknown>
  /** Resolves when it ends by itself; rejects when it fails. */
  ended: Promise<RunnerEnd>
  /** Takes no more jobs; resolves when those that run have ended. */
  stop(): Promise<unknown>
}

/** Ends the pool that `runOnce` creates. It returns a function and not the pool, which is thenable: a promise of it would wait for its end. */
function shutdownOf(events: EventEmitter): Promise<() => unknown> {
  return new Promise((resolve) => {
    events.once('pool:create', ({ workerPool }: { workerPool: WorkerPool }) => {
      resolve(() => workerPool.gracefulShutdown())
    })
  })
}

/** Tries until the pool is recorded, or the presence is lost. */
async function announce(presence: Presence, poolId: string, tasks: string[]): Promise<void> {
  while (true) {
    try {
      return await presence.announcePool(poolId, tasks)
    } catch (error) {
      if (presence.lost.aborted) throw error
      await pause(1000)
    }
  }
}

function pause(milliseconds: number): Promise<void> {
  return sleep(milliseconds, undefined, { ref: false })
}
