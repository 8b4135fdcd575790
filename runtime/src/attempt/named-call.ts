import { nearest } from '../core/nearest.js'
import { printable } from '../core/printable.js'
import type { RowId } from '../core/row-id.js'
import type { AttemptClass } from './attempt.js'
import { unlistedReason } from './pause-match.js'
import { ALL } from './pause-store.js'

/** A target, or one of its methods. */
export interface NamedCall {
  target?: string
  method?: string
}

/**
 * Reads `OrderClient.fulfill`, or `OrderClient`. The name of a target may have a dot in it: then it is listed, or the method is given
 * apart.
 */
export async function namedCall(Attempt: AttemptClass, target?: string, method?: string): Promise<NamedCall> {
  if (target === undefined) return { ...(method !== undefined && { method }) }
  const dot = target.indexOf('.')
  const isWhole = dot <= 0 || dot === target.length - 1 || (await Attempt.targets()).names().has(target)
  if (method !== undefined) {
    if (isWhole || target.slice(dot + 1) !== method) return { target, method }
    return { target: target.slice(0, dot), method }
  }
  return isWhole ? { target } : { target: target.slice(0, dot), method: target.slice(dot + 1) }
}

/** What a filter names. */
export interface FilterNames extends NamedCall {
  batch?: RowId
  schedule?: string
}

/** Why nothing may have matched: targets.ts does not list the names, or there is no such batch or schedule. */
export async function nameHint(
  Attempt: AttemptClass,
  { target = ALL, method = ALL, batch, schedule }: FilterNames,
): Promise<string[]> {
  const reasons = await Promise.all([
    target === ALL && method === ALL ? undefined : unlistedReason(await Attempt.targets(), { target, method }),
    batch === undefined ? undefined : noBatchReason(Attempt, batch),
    schedule === undefined ? undefined : noScheduleReason(Attempt, schedule),
  ])
  return reasons.filter((reason) => reason !== undefined)
}

async function noBatchReason(Attempt: AttemptClass, id: RowId): Promise<string | undefined> {
  return (await Attempt.findBatch(id)) ? undefined : `There is no batch ${id} of ${Attempt.model}.`
}

async function noScheduleReason(Attempt: AttemptClass, name: string): Promise<string | undefined> {
  const names = (await Attempt.schedules()).map((schedule) => schedule.name)
  if (names.includes(name)) return undefined
  const near = nearest(name, names)
  const suggestion = near === undefined ? '' : ` Did you mean ${JSON.stringify(printable(near, 200))}?`
  return `${Attempt.model} has no schedule ${JSON.stringify(printable(name, 200))} now.${suggestion}`
}
