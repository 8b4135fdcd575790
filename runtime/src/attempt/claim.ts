import { setTimeout as sleep } from 'node:timers/promises'
import { presenceOf } from '../presence/presence.js'
import type { BoundClass } from './binding.js'
import type { ClaimJob, WaitingRow } from './limits/limited-claims.js'
import type { Claim } from './run-store.js'
import type { TargetList } from './targets.js'

/** How long to wait for a lock on the row, in milliseconds. After that the sweep enqueues the row again. */
const PAUSES = [20, 100, 500]

/**
 * Claims the row for this process and counts the run. Without a run, the row is not pending, not due, expired or paused, stays locked, or
 * waits for its limit.
 *
 * @param job set for a job of Graphile Worker: it claims the next call of its key, if it has one
 */
export async function claim(
  { db, content, store: { runs }, targets }: Pick<BoundClass, 'db' | 'content' | 'store' | 'targets'>,
  id: bigint,
  job?: ClaimJob,
): Promise<Claim> {
  const { id: worker } = await presenceOf(db)
  const argsOf = (row: WaitingRow) => content.decode(row.args, { ...row, id: BigInt(row.id) }, 'args') as unknown[]
  // Without its targets the call cannot run, so it needs no limit: the run fails with the reason.
  const list = await targets().then(
    (listed: TargetList | undefined) => listed?.limits,
    () => undefined,
  )
  const limits = list && { list, argsOf }
  for (let tries = 0; ; tries++) {
    const claim = await runs.claim(id, worker, { limits, job })
    if (claim.claimed || claim.waits) return claim
    if (tries === PAUSES.length || !(await runs.isStartable(id))) return claim
    await sleep(PAUSES[tries])
  }
}
