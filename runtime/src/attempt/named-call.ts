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

/** Why nothing may have matched: targets.ts does not list the names. Empty if it does. */
export async function nameHint(Attempt: AttemptClass, { target = ALL, method = ALL }: NamedCall): Promise<string[]> {
  if (target === ALL && method === ALL) return []
  const reason = unlistedReason(await Attempt.targets(), { target, method })
  return reason === undefined ? [] : [reason]
}
