import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../core/database.js'
import { pruneToasts } from '../toast/prune.js'
import type { Log } from './log.js'
import { prune } from './retention.js'
import type { Settings } from './settings.js'
import { removeReplacedJobs, sweep } from './sweep.js'

/** How often what is done and old is deleted, in milliseconds. */
const PRUNE_EVERY = 60_000

/** After how many milliseconds a sweep that has got no answer counts as failed, and the next one begins. */
const SWEEP_WITHIN = 60_000

/** Sweeps and prunes, over and over, until it is told to stop. Resolves when nothing of that is under way any more. */
export async function doChores(db: Database, { sweepEvery, retention }: Settings, log: Log, stop: AbortSignal) {
  const failing = new Set<string>()
  // Said once, and not again every three seconds for as long as PostgreSQL is away.
  const attempt = async (what: string, chore: () => Promise<void>) => {
    try {
      await chore()
      failing.delete(what)
    } catch (error) {
      if (!failing.has(what)) log.say('error', `${what} failed and is tried again: ${(error as Error).message}`)
      failing.add(what)
    }
  }
  await Promise.all([
    repeat(sweepEvery, stop, () => attempt('The sweep', () => answered(SWEEP_WITHIN, sweepAndTell(db, log)))),
    repeat(PRUNE_EVERY, stop, () => attempt('Removing jobs that were replaced', () => removeReplacedJobs(db))),
    repeat(PRUNE_EVERY, stop, () =>
      attempt('Pruning unused toasts', async () => {
        const removed = await pruneToasts(db)
        if (removed > 0) log.say('info', `${removed} toasts removed.`, { removed })
      }),
    ),
    retention &&
      repeat(PRUNE_EVERY, stop, () =>
        attempt('Deleting what is old', async () => {
          const deleted = await prune(db, retention, stop)
          if (deleted > 0) log.say('info', `${deleted} old rows deleted.`, { deleted })
        }),
      ),
  ])
}

async function sweepAndTell(db: Database, log: Log): Promise<void> {
  const { dead, rescued, enqueued } = await sweep(db)
  if (rescued > 0) log.say('warning', `${rescued} rescued from workers that died.`, { dead, rescued })
  if (enqueued > 0) log.say('warning', `${enqueued} were due and had no job: now they have.`, { enqueued })
}

async function answered(limit: number, work: Promise<void>): Promise<void> {
  const waiting = new AbortController()
  const late = sleep(limit, undefined, { ref: false, signal: waiting.signal }).then(() => {
    throw new Error(`PostgreSQL has not answered for ${limit / 1000} s`)
  })
  try {
    await Promise.race([work, late])
  } finally {
    late.catch(() => {})
    waiting.abort()
  }
}

async function repeat(every: number, stop: AbortSignal, chore: () => Promise<void>): Promise<void> {
  while (!stop.aborted) {
    await chore()
    await sleep(every, undefined, { signal: stop }).catch(() => {})
  }
}
