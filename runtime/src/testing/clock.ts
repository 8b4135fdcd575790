import { runInNewContext } from 'node:vm'
import { writeSchedules } from '../attempt/schedules/write.js'
import type { Database } from '../core/database.js'
import { type Duration, milliseconds } from '../core/duration.js'
import { requireArgument } from './arguments.js'
import { contextsOf, type MovedClock } from './database-context.js'

/** The clock of one database in this process. */
export interface TestClock {
  /** Moves the clock forwards. Nothing runs by itself: `drain` runs what is due then. */
  advance(by: Duration): Promise<void>
  now(): Date
  /** Moves the clock back to the time of the process. */
  reset(): Promise<void>
}

/**
 * A clock for tests that moves forwards without waiting. By it, calls become due, attempts and toasts expire, and retention deletes:
 *
 *     const clock = await testClock(db)
 *     await clock.advance('1 hour')
 *     await drain(db)
 *
 * It applies to all statements of this Database in this process, in transactions too, and to nothing else: PostgreSQL, other processes,
 * Graphile Worker and your own SQL keep the real time. If fake timers of vitest or Jest have replaced Date, the clock follows their Date.
 */
export async function testClock(db: Database): Promise<TestClock> {
  requireArgument('testClock', 'Database', db)
  const contexts = contextsOf(db)
  contexts.clock ??= new Clock()
  // Their occurrences count from now on.
  await writeSchedules(db)
  const { clock } = contexts
  return {
    advance: async (by) => {
      clock.offset += milliseconds(by, 'advance')
    },
    now: () => new Date(db.now()),
    reset: async () => {
      clock.offset = 0
    },
  }
}

class Clock implements MovedClock {
  offset = 0
  #drift = 0
  /** What a replaced Date said last. */
  #last: number | undefined

  /**
   * The time runs on while a replaced Date stands still, so that a row that was just written is due: the runtime writes times of now or a
   * little later. It jumps when that Date has moved past it, or backwards.
   */
  driftOfDate(): number {
    if (!isDateReplaced()) {
      this.#last = undefined
      return 0
    }
    const [date, real] = [Date.now(), realNow()]
    if (this.#last === undefined || date < this.#last || date > real + this.#drift) this.#drift = date - real
    this.#last = date
    return this.#drift
  }
}

const LoadedDate = Date

/** Those of @sinonjs/fake-timers, which vitest and Jest use, have the property `clock`. */
function isDateReplaced(): boolean {
  return Date !== LoadedDate || 'clock' in Date
}

/** The time of a context of its own, in which no test runner replaces Date. */
const realNow: () => number = runInNewContext('Date.now')
