import { setTimeout as sleep } from 'node:timers/promises'
import { presenceOf } from '../presence/presence.js'
import type { BoundClass } from './binding.js'
import type { ClaimedRun } from './run-store.js'

/** How long to wait for a lock on the row, in milliseconds. After that the sweep enqueues the row again. */
const PAUSES = [20, 100, 500]

/** Claims the row for this process and counts the run. Returns undefined if the row is not pending, not due, expired or paused, or stays locked. */
export async function claim(
  { db, store: { runs } }: Pick<BoundClass, 'db' | 'store'>,
  id: bigint,
): Promise<ClaimedRun | undefined> {
  const { id: worker } = await presenceOf(db)
  for (let tries = 0; ; tries++) {
    const claimed = await runs.claim(id, worker)
    if (claimed) return claimed
    if (tries === PAUSES.length || !(await runs.isStartable(id))) return undefined
    await sleep(PAUSES[tries])
  }
}
