import { setTimeout as sleep } from 'node:timers/promises'
import { schedulesInCode } from '../attempt/schedules/models.js'
import { nextOccurrence, recordOccurrences, type ScheduleProblem } from '../attempt/schedules/record.js'
import { repairSchedules, writeSchedules } from '../attempt/schedules/write.js'
import type { Database } from '../core/database.js'
import { isAsyncGenError } from '../core/errors.js'
import { printable } from '../core/printable.js'
import type { Log } from './log.js'

/** How often schedules that were changed meanwhile are looked for, in milliseconds. */
const POLL_INTERVAL = 1000

/** How often what removed schedules have left is cancelled, in milliseconds. */
const REPAIR_INTERVAL = 5000

/**
 * Writes the schedules of schedule.ts to the database, and records what is due: before a worker takes its first job.
 * @throws AsyncGenError INVALID_SCHEDULE, UnknownTargetError
 */
export async function startSchedules(db: Database, log: Log): Promise<void> {
  await schedulesInCode(db)
  await write(db, log).catch((error) => {
    // The maintenance writes them once the migrations have run.
    if (!isAsyncGenError(error) || error.code !== 'NOT_MIGRATED') throw error
  })
}

const written = new WeakSet<Database>()

async function write(db: Database, log: Log): Promise<void> {
  const { taken, removed } = await writeSchedules(db)
  written.add(db)
  for (const { model, name } of removed)
    log.message('info', `The schedule ${shown(name)} (${model}) is not in schedule.ts any more, and was removed.`)
  for (const { model, name } of taken)
    log.message(
      'error',
      `The schedule ${shown(name)} (${model}) of schedule.ts is not used: async_schedules has a row of that name. Rename one of them.`,
    )
  await recordOccurrences(db)
}

/** Records occurrences when they are due, until `stop` aborts. */
export async function runSchedules(
  db: Database,
  log: Log,
  stop: AbortSignal,
  logged: (what: string, work: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const known = new Map<string, string>()
  let repairAt = 0
  while (!stop.aborted) {
    let wait = POLL_INTERVAL
    await logged('Recording what is scheduled', async () => {
      if (!written.has(db)) await write(db, log)
      if (performance.now() >= repairAt) {
        repairAt = performance.now() + REPAIR_INTERVAL
        await repairSchedules(db)
      }
      let next = await nextOccurrence(db)
      if (next.isDue) {
        const { problems } = await recordOccurrences(db)
        for (const problem of problems) report(problem, known, log)
        next = await nextOccurrence(db)
      }
      wait = Math.min(POLL_INTERVAL, next.wait ?? POLL_INTERVAL)
    })
    await sleep(wait, undefined, { signal: stop }).catch(() => {})
  }
}

/** A problem that stays is logged once. */
function report({ model, name, message }: ScheduleProblem, known: Map<string, string>, log: Log): void {
  const key = JSON.stringify([model, name])
  if (known.get(key) === message) return
  if (known.size >= 10_000) known.clear()
  known.set(key, message)
  log.message('error', `A schedule of ${model} cannot be used. ${printable(message, 1000)}`)
}

function shown(name: string): string {
  return JSON.stringify(printable(name, 200))
}
