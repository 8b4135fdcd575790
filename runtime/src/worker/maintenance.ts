import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../core/database.js'
import { type SweptTable, sweptTables } from '../core/swept-table.js'
import { reportLingering } from './lingering.js'
import type { Log } from './log.js'
import { pauseLog } from './pause-log.js'
import { runSchedules } from './schedules.js'
import type { WorkerSettings } from './settings.js'
import { type DueMaintenance, dueMaintenance, removeReplacedJobs, sweepTables } from './sweep.js'

/** How often rows that are no longer needed are deleted, in milliseconds. */
const PRUNE_INTERVAL = 60_000

/** How often lingering calls are looked for, in milliseconds. */
const LINGERING_INTERVAL = 5000

/** A sweep without an answer for this long counts as failed, and the next one begins. Milliseconds. */
const SWEEP_TIMEOUT = 60_000

const EVERYTHING: DueMaintenance = { sweep: true, pauses: true }

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
  const resume = async (table: SweptTable) => {
    const enqueued = (await table.enqueueResumed?.()) ?? 0
    if (enqueued > 0)
      log.message('info', `Calls of ${table.table} whose pause has ended: ${enqueued}. Jobs were added.`, { enqueued })
  }
  /** Work that is not started again while it runs. */
  const exclusive = (what: string, work: () => Promise<void>) => {
    let running: Promise<void> | undefined
    return {
      startIf: (isDue: boolean) => {
        if (isDue)
          running ??= logged(what, work).finally(() => {
            running = undefined
          })
        else failing.delete(what)
      },
      ended: async () => await running,
    }
  }
  const tables = [...sweptTables(db)]
  const logPauses = pauseLog(db, log)
  const sweeping = exclusive('The sweep', () => withTimeout(SWEEP_TIMEOUT, sweepAndLog(db, log)))
  // Each table by itself: a large backlog of one does not delay the others.
  const pausing = [
    exclusive('Reading the pauses', logPauses),
    ...tables.map((table) => exclusive(`Resuming the table ${table.table}`, () => resume(table))),
  ]
  // Once more after the last pause is gone, to log its end.
  let hadPauses = false
  const startDue = async () => {
    // If it fails, so do the others, and they log why.
    const due = await withTimeout(SWEEP_TIMEOUT, dueMaintenance(db)).catch(() => EVERYTHING)
    sweeping.startIf(due.sweep)
    for (const work of pausing) work.startIf(due.pauses || hadPauses)
    hadPauses = due.pauses
  }
  await Promise.all([
    repeat(sweepEvery, stop, startDue),
    repeat(LINGERING_INTERVAL, stop, async () => reportLingering(db, log)),
    repeat(PRUNE_INTERVAL, stop, () => logged('Removing replaced jobs', () => removeReplacedJobs(db))),
    runSchedules(db, log, stop, logged),
    ...tables.map((table) => repeat(PRUNE_INTERVAL, stop, () => prune(table))),
  ])
  await Promise.all([sweeping, ...pausing].map(({ ended }) => ended()))
}

async function sweepAndLog(db: Database, log: Log): Promise<void> {
  const { dead, rescued, expired, enqueued } = await sweepTables(db)
  if (rescued > 0) log.message('warning', `Rows released from dead workers: ${rescued}.`, { dead, rescued })
  if (expired > 0) log.message('info', `Attempts expired before a run began: ${expired}.`, { expired })
  if (enqueued > 0) log.message('warning', `Due rows without a job: ${enqueued}. Jobs were added.`, { enqueued })
}

async function withTimeout<Result>(timeout: number, work: Promise<Result>): Promise<Result> {
  const waiting = new AbortController()
  const late = sleep(timeout, undefined, { ref: false, signal: waiting.signal }).then((): never => {
    throw new Error(`PostgreSQL has not answered for ${timeout / 1000} s`)
  })
  try {
    return await Promise.race([work, late])
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
