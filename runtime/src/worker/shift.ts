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
import type { Database } from '../database.js'
import type { Presence } from '../presence.js'
import type { Settings } from './settings.js'
import { aborted, type Stopping } from './stopping.js'
import { type JobInHand, watchTasks } from './tasks.js'

type Pool = Database['pool']

/** How long work that was told to stop may take to do so: in the end, and when there is no time to lose. Milliseconds. */
const AFTER_ABORT = { patient: 5000, hurried: 1000 }

/** What the shifts of a worker share. */
export interface Workplace {
  db: Database
  tasks: TaskList
  settings: Settings
  stopping: Stopping
  /** The jobs that have begun and not ended. */
  inHand: Set<JobInHand>
  /** Takes what Graphile Worker says. */
  logger: Logger
  /** Called when a shift has begun: it takes jobs, and others can see it. */
  begun(presence: Presence): void
}

/**
 * Runs Graphile Worker for as long as a presence lasts: until the worker is told to stop, loses its session, or (with `once`) has
 * nothing left to do. Then what runs is finished, within limits; what does not end even when it is told to stays in `inHand`.
 */
export async function workShift(workplace: Workplace, presence: Presence): Promise<void> {
  const { settings, stopping } = workplace
  const calls = new AbortController()
  const starting = startGraphile(workplace, presence, calls.signal)
  const ended = starting.then(async (graphile) => {
    workplace.begun(presence)
    await graphile.ended
    return 'ended'
  })
  if ((await Promise.race([ended, aborted(stopping.asked, presence.lost)])) === 'ended') return

  const finished = starting.then((graphile) => graphile.stop()).catch(() => {})
  const enough = AbortSignal.any([stopping.hurried, presence.lost])
  await Promise.race([finished, aborted(enough), pause(settings.stopTimeout)])
  calls.abort(presence.lost.aborted ? presence.lost.reason : new Error('The worker is stopping.'))
  await Promise.race([finished, pause(enough.aborted ? AFTER_ABORT.hurried : AFTER_ABORT.patient)])
}

interface Graphile {
  /** Resolves when it ends by itself; rejects when it fails. */
  ended: Promise<void>
  /** Takes no more jobs; resolves when those in hand have ended. */
  stop(): Promise<void>
}

async function startGraphile(workplace: Workplace, presence: Presence, calls: AbortSignal): Promise<Graphile> {
  const { db, settings, inHand, logger } = workplace
  const { concurrency, crontab, once, pollInterval, prefetch } = settings
  const taskList = watchTasks(workplace.tasks, inHand, calls)
  const events = new EventEmitter()
  let announced: Promise<void> = Promise.resolve()
  let pool: WorkerPool | undefined
  events.once('pool:create', ({ workerPool }: { workerPool: WorkerPool }) => {
    pool = workerPool
    announced = announce(presence, workerPool.id, Object.keys(taskList))
    announced.catch(() => {})
  })
  const options: RunnerOptions = {
    pgPool: heldBack(db.pool, () => announced),
    events,
    taskList,
    concurrency,
    pollInterval,
    noHandleSignals: true,
    preset: {
      extends: [WorkerPreset],
      worker: {
        ...(prefetch > 0 && { localQueue: { size: prefetch } }),
        // In batches, an end that cannot be stored ends the shift; one by one, it would be a rejection that ends the process.
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
      },
    },
    logger,
  }
  if (once) return { ended: runOnce(options), stop: async () => pool?.gracefulShutdown() }
  const runner = await run({ ...options, parsedCronItems: parseCrontab(crontab) })
  await announced.catch(() => {})
  return { ended: runner.promise, stop: () => runner.stop() }
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

/**
 * A pool whose connections are lent only once the others know which Graphile Worker pool is ours: Graphile Worker fetches its
 * first jobs as soon as it has made its pool, and if we died with jobs of a pool that nobody knows, they would stay locked.
 */
function heldBack(pool: Pool, announced: () => Promise<void>): Pool {
  const connect = async (callback?: Parameters<Pool['connect']>[0]) => {
    await announced()
    return callback ? pool.connect(callback) : await pool.connect()
  }
  return new Proxy(pool, {
    get(target, property) {
      if (property === 'connect') return connect
      const value = Reflect.get(target, property, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

function pause(milliseconds: number): Promise<void> {
  return sleep(milliseconds, undefined, { ref: false })
}
