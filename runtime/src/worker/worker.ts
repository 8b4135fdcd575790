import { readdir } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Logger, parseCrontab, run, WorkerPreset } from 'graphile-worker'
import type { Database } from '../database.js'
import { type Duration, milliseconds } from '../duration.js'
import { leave, type Presence, presenceOf } from '../presence.js'
import { sweep } from './sweep.js'

export interface RunWorkerOptions {
  /** The folder of Graphile Worker tasks: each file is a task, called as the file is. */
  tasks: URL | string
  /** How many tasks run at the same time. Default: 10. */
  concurrency?: number
  /** How often dead workers' work is taken back and lost jobs are found again. Default: 5 seconds. */
  sweepEvery?: Duration
  /** Recurring tasks, as the text of a Graphile Worker crontab. */
  crontab?: string
  /** A Graphile Worker logger. */
  logger?: Logger
}

/**
 * Runs a worker until the process is told to stop (SIGTERM, SIGINT), then lets the tasks at hand finish.
 * The Graphile Worker schema is installed or brought up to date first.
 */
export async function runWorker(db: Database, options: RunWorkerOptions): Promise<void> {
  const { concurrency = 10, sweepEvery = '5s', crontab = '', logger } = options
  const presence = await presenceOf(db)
  const taskDirectory = typeof options.tasks === 'string' ? options.tasks : fileURLToPath(options.tasks)
  const runner = await run({
    pgPool: db.pool,
    concurrency,
    taskDirectory,
    parsedCronItems: parseCrontab(crontab),
    noHandleSignals: true,
    preset: {
      extends: [WorkerPreset],
      plugins: [announce(presence)],
      worker: { fileExtensions: await extensionsIn(taskDirectory) },
    },
    ...(logger && { logger }),
  })

  const stopping = new AbortController()
  const stop = () => {
    if (stopping.signal.aborted) return
    stopping.abort()
    runner.stop().catch(() => {})
  }
  process.once('SIGTERM', stop).once('SIGINT', stop)
  // The runtime's connections let a process end that has nothing else to do; a worker waits.
  const alive = setInterval(() => {}, 2 ** 30)
  const sweeping = keepSweeping(db, milliseconds(sweepEvery), stopping.signal)
  try {
    await runner.promise
  } finally {
    process.off('SIGTERM', stop).off('SIGINT', stop)
    stopping.abort()
    await sweeping
    await leave(db)
    await db.close()
    await db.prisma.$disconnect?.()
    clearInterval(alive)
  }
}

/** Tells the others which Graphile Worker pool is ours before it takes its first job. */
function announce(presence: Presence): GraphileConfig.Plugin {
  return {
    name: 'AsyncGenPresencePlugin',
    version: '0.1.0',
    worker: { hooks: { startWorker: (_context, { worker }) => presence.adoptPool(worker.workerPool.id) } },
  }
}

async function keepSweeping(db: Database, every: number, stopping: AbortSignal): Promise<void> {
  while (!stopping.aborted) {
    await sweep(db).catch((error) => console.error(`The sweep failed and is tried again: ${error.message}`))
    await sleep(every, undefined, { signal: stopping }).catch(() => {})
  }
}

/** A folder of sources is run as TypeScript (by tsx, say); a folder that was built holds declarations too, which are no tasks. */
async function extensionsIn(folder: string): Promise<string[]> {
  const javascript = ['.js', '.mjs', '.cjs']
  const files = await readdir(folder)
  const built = files.some((file) => javascript.some((extension) => file.endsWith(extension)))
  return built ? javascript : ['.ts', '.mts', '.cts']
}
