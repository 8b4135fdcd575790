import { type LingeringCall, lingeringCalls } from '../attempt/lingering.js'
import type { Database } from '../core/database.js'
import { formatSeconds, type Log } from './log.js'

/** A call that stops within this time after its time limit is not reported, in milliseconds. */
const GRACE = 5000

/** The pause between two reports of the same call, in milliseconds. */
const INTERVAL = 60_000

const reported = new WeakMap<LingeringCall, number>()

/** Logs the calls of this process that ignore their signal and still run after their time limit. */
export function reportLingering(db: Database, log: Log): void {
  const now = performance.now()
  for (const call of lingeringCalls(db)) {
    const { id, name, since } = call
    if (now - since < GRACE || now - (reported.get(call) ?? Number.NEGATIVE_INFINITY) < INTERVAL) continue
    reported.set(call, now)
    const time = formatSeconds((now - since) / 1000)
    log.message('warning', `${name} of attempt ${id} ignores its signal: it still runs ${time} after its time limit.`, {
      id: `${id}`,
      name,
    })
  }
}
