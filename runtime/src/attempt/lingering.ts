import type { Database } from '../core/database.js'
import { setPerDatabase } from '../core/per-database.js'

/** A call that still runs although the time limit of its run is over: it ignores its signal. */
export interface LingeringCall {
  id: bigint
  /** The target and the method: `OrderClient.fulfill`. */
  name: string
  /** When the time limit was over: a value of `performance.now()`. */
  since: number
}

/** The lingering calls of this process. */
export const lingeringCalls = setPerDatabase<LingeringCall>()

/** Lists a call as lingering until it settles. */
export function trackLingering(db: Database, call: Omit<LingeringCall, 'since'>, working: Promise<unknown>): void {
  const calls = lingeringCalls(db)
  const lingering = { ...call, since: performance.now() }
  calls.add(lingering)
  const settled = () => calls.delete(lingering)
  working.then(settled, settled)
}
