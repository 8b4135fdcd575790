import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../core/database.js'
import { type SweptTable, sweptTables } from '../core/swept-table.js'
import { reportLingering } from './lingering.js'
import type { Log } from './log.js'
import { pauseLog } from './pause-log.js'
import { runSchedules } from './schedules.js'
import type { WorkerSettings } from './settings.js'
import { removeReplacedJobs, sweepTables } from './sweep.js'

/** How often rows that are no longer needed are deleted, in milliseconds. */
const PRUNE_INTERVAL = 60_000

/** How often lingering calls are looked for, in milliseconds. */
const LINGERING_INTERVAL = 5000

/** A sweep without an answer for this long counts as failed, and the next one begins. Milliseconds. */
const SWEEP_TIMEOUT = 60_000

/** Sweeps and prunes at intervals, until `stop` aborts. Resolves when the statements that run then have ended. */
export async function runMaintenance(
  db: Database,
  { sweepEvery, retention }: WorkerSettings,
  log: Log,
  stop: AbortSignal,
): Promise<void> {
  const failing = new Set<string>()
  // A failure is logged once, and not again at each interval until the work has succeeded.
  const logged = async (what: string, work: () => Promise<void>) => {
    try {
      await work()
      failing.delete(what)
    } catch (error) {
      if (!failing.has(what)) log.message('error', `${what} failed and will be retried: ${(error as Error).message}`)
      failing.add(what)
    }
  }
  const prune = (table: SweptTable) =>
    logged(`Pruning the table ${table.table}`, async () => {
      const deleted = await table.prune(retention, stop)
      if (deleted > 0) {
        log.message('info', `Old rows of ${table.table} deleted: ${deleted}.`, { table: table.table, deleted })
      }
    })
  const resume = (table: SweptTable) =>
    logged(`Resuming the table ${table.table}`, async () => {
      const enqueued = (await table.enqueueResumed?.()) ?? 0
      if (enqueued > 0) {
        log.message('info', `Calls of ${table.table} whose pause has ended: ${enqueued}. Jobs were added.`, {
          enqueued,
        })
      }
    })
  const logPauses = pauseLog(db, log)
  await Promise.all([
    repeat(sweepEvery, stop, () => logged('The sweep', () => withTimeout(SWEEP_TIMEOUT, sweepAndLog(db, log)))),
    repeat(LINGERING_INTERVAL, stop, async () => reportLingering(db, log)),
    repeat(PRUNE_INTERVAL, stop, () => logged('Removing replaced jobs', () => removeReplacedJobs(db))),
    repeat(sweepEvery, stop, () => logged('Reading the pauses', logPauses)),
    runSchedules(db, log, stop, logged),
    // Each table by itself: a large backlog of one does not delay the others.
    ...[...sweptTables(db)].map((table) => repeat(PRUNE_INTERVAL, stop, () => prune(table))),
    ...[...sweptTables(db)].map((table) => repeat(sweepEvery, stop, () => resume(table))),
  ])
}

async function sweepAndLog(db: Database, log: Log): Promise<void> {
  const { dead, rescued, expired, enqueued } = await sweepTables(db)
  if (rescued > 0) log.message('warning', `Rows released from dead workers: ${rescued}.`, { dead, rescued })
  if (expired > 0) log.message('info', `Attempts expired before a run began: ${expired}.`, { expired })
  if (enqueued > 0) log.message('warning', `Due rows without a job: ${enqueued}. Jobs were added.`, { enqueued })
}

async function withTimeout(timeout: number, work: Promise<void>): Promise<void> {
  const waiting = new AbortController()
  const late = sleep(timeout, undefined, { ref: false, signal: waiting.signal }).then(() => {
    throw new Error(`PostgreSQL has not answered for ${timeout / 1000} s`)
  })
  try {
    await Promise.race([work, late])
  } finally {
    late.catch(() => {})
    waiting.abort()
  }
}

async function repeat(interval: number, stop: AbortSignal, work: () => Promise<unknown>): Promise<void> {
  while (!stop.aborted) {
    await work()
    await sleep(interval, undefined, { signal: stop }).catch(() => {})
  }
}
