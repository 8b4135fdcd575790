import { describeLimit } from '../../attempt/limits/describe.js'
import type { LimitStatus } from '../../attempt/limits/limits.js'
import { using } from '../database-errors.js'
import type { Flags } from '../flags.js'
import type { CommandResult } from '../result.js'
import { hostDatabase, loadedClasses } from './classes.js'

/** A limit per key, as the commands show it. */
export interface ShownLimit extends LimitStatus {
  model: string
}

export async function listAllLimits({ model, worker }: Flags): Promise<CommandResult> {
  const db = await hostDatabase(worker)
  return await using(db, async () => {
    const limits = (await shownLimits(worker)).filter((limit) => model === undefined || limit.model === model)
    return { lines: limits.length > 0 ? limits.map(limitLine) : ['targets.ts has no limits.'], json: { limits } }
  })
}

/** The limits of all models whose classes load. */
export async function shownLimits(worker: string | undefined): Promise<ShownLimit[]> {
  const classes = await loadedClasses(worker)
  const limits = await Promise.all(
    [...classes].map(async ([model, Attempt]) => (await Attempt.limits()).map((limit) => ({ model, ...limit }))),
  )
  return limits.flat()
}

export function limitLine({ model, ...limit }: ShownLimit): string {
  return describeLimit(model, limit)
}
