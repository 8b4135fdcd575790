import { printable } from '../../core/printable.js'
import { timeText } from '../../core/time-text.js'
import type { KeyStatus, LimitNumbers, LimitStatus } from './limits.js'

/** How many full keys a line names. */
const MAX_NAMED = 5

/** `Shopify`, or `Shopify.push`. */
export function limitName({ target, method }: Pick<LimitStatus, 'target' | 'method'>): string {
  return method === null ? target : `${target}.${method}`
}

/** `2 at a time, 40 in 60 s, strict order` */
export function describeNumbers({ concurrency, rate, order }: LimitNumbers & { order?: LimitStatus['order'] }): string {
  const parts = [
    ...(concurrency === null ? [] : [`${concurrency} at a time`]),
    ...(rate === null ? [] : [`${rate.limit} in ${rate.per / 1000} s`]),
    ...(order === 'strict' ? ['strict order'] : []),
  ]
  return parts.join(', ') || 'no limit'
}

/** `Shopify (Attempt), 2 at a time: 2 running, 31 waiting. Full: acme (2 running, 31 waiting).` */
export function describeLimit(model: string, limit: LimitStatus): string {
  const full = limit.keys.filter(({ isFull }) => isFull)
  const more = full.length > MAX_NAMED ? ` and ${full.length - MAX_NAMED} more` : ''
  const names = full.slice(0, MAX_NAMED).map(describeKey).join(', ')
  const name = `${printable(limitName(limit), 200)} (${printable(model, 100)}), ${describeNumbers(limit)}`
  return `${name}: ${limit.running} running, ${limit.waiting} waiting.${full.length > 0 ? ` Full: ${names}${more}.` : ''}`
}

function describeKey({ key, running, waiting, nextStartAt }: KeyStatus): string {
  const next = nextStartAt === null ? '' : `, next start at ${timeText(nextStartAt)}`
  return `${keyText(key)} (${running} running, ${waiting} waiting${next})`
}

/** A key as text; that of a limit without keys is empty. */
export function keyText(key: string): string {
  return key === '' ? 'all calls' : printable(key, 100)
}
