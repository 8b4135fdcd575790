import { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Logger,
  parseCrontab,
  type RunnerOptions,
  run,
  runOnce,
  type TaskList,
  type WorkerPool,
  WorkerPreset,
} from 'graphile-worker'
import type { Database } from '../core/database.js'
import type { Presence } from '../presence/presence.js'
import { GraphilePool } from './graphile-pool.js'
import type { Log } from './log.js'
import type { Settings } from './settings.js'
import { aborted, type Stopping } from './signals.js'
import { type RunningJob, watchTasks } from './tasks.js'
import { Watchdog } from './watchdog.js'

/** What the Graphile runners of one worker share: one after the other uses it. */
export interface WorkerContext {
  db: Database
  tasks: TaskList
  settings: Settings
  stopping: Stopping
  /** The jobs that have begun and not ended, of this runner and of those that were given up. */
  running: Set<RunningJob>
  /** Takes what Graphile Worker says. */
  logger: Logger
  log: Log
  /** Called when a runner has started: it takes jobs, and others can see it. */
  started(presence: Presence): void
}

/**
 * Why a runner ended: the worker was told to stop, it lost its session with PostgreSQL, nothing is left to do (`once`), or what went wrong.
 */
export type RunnerEnd = 'stopped' | 'session lost' | 'nothing left' | Error

/** How long jobs that were told to stop may take to do so: normally, and after a second signal or a lost session. Milliseconds. */
const AFTER_ABORT = { normal: 5000, urgent: 1000 }

/** How often to warn that statements are tried again, in milliseconds. */
const WARN_EVERY = 60_000

/** A runner without running jobs and without a running statement has this long to end, in milliseconds. */
const IDLE_END = 3000

/**
 * Graphile Worker for as long as one presence lasts. It depends on none of Graphile Worker's promises: whatever fails, hangs or ends
 * unasked ends the runner within limits, and its jobs are then freed by the sweep.
 */
export class GraphileRunner {
  readonly #context: WorkerContext
  readonly #presence: Presence
  /** The jobs of this runner that have begun and not ended. */
  readonly #running = new Set<RunningJob>()
  readonly #jobs = new AbortController()
  readonly #failed = new AbortController()
  readonly #pool: GraphilePool
  readonly #watchdog: Watchdog
  #announced: Promise<void> = Promise.resolve()
  #silentUntil = 0

  constructor(context: WorkerContext, presence: Presence) {
    const { db, settings, tasks, log } = context
    this.#context = context
    this.#presence = presence
    this.#pool = new GraphilePool(db.pool, {
      announced: () => this.#announced,
      onRetry: ({ message }) => {
        if (performance.now() < this.#silentUntil) return
        this.#silentUntil = performance.now() + WARN_EVERY
        log.say('warning', `A statement of Graphile Worker failed and is tried again: ${message}`)
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

  /** Seconds for which the runner could have polled for jobs, and no poll has succeeded. 0 while all slots are busy. */
  get secondsSincePoll(): number {
    return this.#watchdog.secondsSincePoll
  }

  /** Whether a poll for jobs has ever succeeded. */
  get hasPolled(): boolean {
    return this.#watchdog.hasPolled
  }

  /** Why no work is taken at the moment; undefined where it is. */
  get problem(): string | undefined {
    if (this.#failed.signal.aborted) return 'Graphile Worker is started again'
    return this.#watchdog.problem
  }

  /** Runs until the worker is told to stop, the session is lost or Graphile Worker ends. What does not end stays in `running`. */
  async run(): Promise<RunnerEnd> {
    const { stopping, started } = this.#context
    const { lost } = this.#presence
    const graphile = this.#startGraphile()
    graphile.starting.then(() => started(this.#presence)).catch(() => {})
    this.#watchdog.start()

    const ended = graphile.ended.catch((error: Error) => error)
    const end = await Promise.race([ended, aborted(stopping.asked, lost, this.#failed.signal)])
    this.#watchdog.stop()
    if (end === undefined) await this.#stop(graphile)
    this.#pool.close()
    if (stopping.asked.aborted) return 'stopped'
    if (lost.aborted) return 'session lost'
    return end ?? this.#failed.signal.reason
  }

  async #stop({ ended, stop }: Graphile): Promise<void> {
    const { settings, stopping } = this.#context
    const { lost } = this.#presence
    const finished = Promise.allSettled([stop(), ended]).then(() => this.#allEnded())
    const urgent = AbortSignal.any([stopping.hurried, lost])
    await Promise.race([finished, aborted(urgent), this.#idle(), pause(settings.stopTimeout)])
    this.#jobs.abort(lost.aborted ? lost.reason : new Error('The worker is stopping.'))
    await Promise.race([finished, this.#idle(), pause(urgent.aborted ? AFTER_ABORT.urgent : AFTER_ABORT.normal)])
  }

  /** Resolves once no job runs, in a worker that stops also none of runners that were given up: their runs are about to end. */
  async #allEnded(): Promise<void> {
    while (this.#awaited.size > 0 && !this.#pool.isClosed) await pause(50)
  }

  get #awaited(): ReadonlySet<RunningJob> {
    return this.#context.stopping.asked.aborted ? this.#context.running : this.#running
  }

  /** Resolves once nothing has run and nothing was asked of the database for some time: Graphile Worker has nothing left to wait for. */
  async #idle(): Promise<void> {
    for (let since = performance.now(); performance.now() - since < IDLE_END && !this.#pool.isClosed; ) {
      await pause(100)
      if (this.#awaited.size > 0 || this.#pool.waiting > 0) since = performance.now()
    }
  }

  #startGraphile(): Graphile {
    const { settings, logger } = this.#context
    const { concurrency, crontab, once, pollInterval, prefetch } = settings
    const taskList = watchTasks(this.#context.tasks, [this.#running, this.#context.running], this.#jobs.signal)
    const events = this.#listen(Object.keys(taskList))
    const options: RunnerOptions = {
      pgPool: this.#pool.pool,
      events,
      taskList,
      concurrency,
      pollInterval,
      noHandleSignals: true,
      preset: {
        extends: [WorkerPreset],
        worker: {
          ...(prefetch > 0 && { localQueue: { size: prefetch } }),
          // In batches, an end that cannot be stored ends the runner; one by one, it would be a rejection that ends the process.
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0,
        },
      },
      logger,
    }
    if (once) {
      const shutdown = shutdownOf(events)
      const ended = runOnce(options).then(() => 'nothing left' as const)
      return { starting: Promise.resolve(), ended, stop: async () => await (await shutdown)() }
    }
    const starting = run({ ...options, parsedCronItems: parseCrontab(crontab) })
    return {
      starting: starting.then(() => this.#announced),
      ended: starting.then(async (runner) => {
        await runner.promise
        return new Error('it has stopped by itself')
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
    })
    events.on('localQueue:getJobs:complete', ({ jobs }: { jobs: { id: string }[] }) => {
      polled()
      this.#watchdog.prefetched(jobs)
    })
    events.on('localQueue:returnJobs', ({ jobs }: { jobs: { id: string }[] }) => this.#watchdog.returned(jobs))
    events.on('pool:fatalError', ({ error, action }: { error: unknown; action: string }) => {
      this.#fail(`${action} failed: ${error instanceof Error ? error.message : error}`, error)
    })
    // With `once` it shuts down when nothing is left.
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
  /** Resolves when others can see the runner. */
  starting: Promise<unknown>
  /** Resolves when it ends by itself; rejects when it fails. */
  ended: Promise<RunnerEnd>
  /** Takes no more jobs; resolves when those that run have ended. */
  stop(): Promise<unknown>
}

/** How to end the pool that `runOnce` creates and keeps to itself. A function: the pool is thenable, so a promise of it would wait for its end. */
function shutdownOf(events: EventEmitter): Promise<() => unknown> {
  return new Promise((resolve) => {
    events.once('pool:create', ({ workerPool }: { workerPool: WorkerPool }) => {
      resolve(() => workerPool.gracefulShutdown())
    })
  })
}

/** Tries until it is written down, or the presence is lost. */
async function announce(presence: Presence, poolId: string, tasks: string[]): Promise<void> {
  while (true) {
    try {
      return await presence.work(poolId, tasks)
    } catch (error) {
      if (presence.lost.aborted) throw error
      await pause(1000)
    }
  }
}

function pause(milliseconds: number): Promise<void> {
  return sleep(milliseconds, undefined, { ref: false })
}
