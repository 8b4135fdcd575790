import { printable } from '../../core/printable.js'
import { timeText } from '../../core/time-text.js'
import type { KeyStatus, LimitNumbers, LimitStatus } from './limits.js'

/** How many full keys a line names. */
const MAX_NAMED = 5

/** `Shopify`, or `Shopify.push`. */
export function limitName({ target, method }: Pick<LimitStatus, 'target' | 'method'>): string {
  return method === null ? target : `${target}.${method}`
}

/** `2 at a time, 40 in 1 minute, strict order` */
export function describeNumbers({ concurrency, rate, order }: LimitNumbers & { order?: LimitStatus['order'] }): string {
  const parts = [
    ...(concurrency === null ? [] : [`${concurrency} at a time`]),
    ...(rate === null ? [] : [`${rate.limit} in ${windowText(rate.per)}`]),
    ...(order === 'strict' ? ['strict order'] : []),
  ]
  return parts.join(', ') || 'no limit'
}

const UNITS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
] as const

/** The window of a rate, in the largest unit that it is a multiple of: `1 minute`, `90 seconds`. */
function windowText(milliseconds: number): string {
  const [unit, length] = UNITS.find(([, each]) => milliseconds % each === 0) ?? ['ms', 1]
  const count = milliseconds / length
  return `${count} ${unit}${count === 1 || unit === 'ms' ? '' : 's'}`
}

/** `Shopify (Attempt), 2 at a time: 2 running, 31 waiting. Full: acme (2 running, 31 waiting). Changed: acme (5 at a time).` */
export function describeLimit(model: string, limit: LimitStatus): string {
  const full = limit.keys.filter(({ isFull }) => isFull)
  const more = full.length > MAX_NAMED ? ` and ${full.length - MAX_NAMED} more` : ''
  const names = full.slice(0, MAX_NAMED).map(describeKey).join(', ')
  const numbers = `${describeNumbers(limit)}${limit.isChanged ? ' (changed by setLimit)' : ''}`
  const name = `${printable(limitName(limit), 200)} (${printable(model, 100)}), ${numbers}`
  return [
    `${name}: ${limit.running} running, ${limit.waiting} waiting.`,
    ...(full.length > 0 ? [`Full: ${names}${more}.`] : []),
    ...(limit.changed.length > 0 ? [`Changed: ${changedText(limit)}.`] : []),
  ].join(' ')
}

/** The keys that have numbers of their own: `acme (5 at a time)`. */
function changedText({ changed }: LimitStatus): string {
  const named = changed.slice(0, MAX_NAMED).map((each) => `${keyText(each.key)} (${describeNumbers(each)})`)
  return `${named.join(', ')}${changed.length > MAX_NAMED ? ` and ${changed.length - MAX_NAMED} more` : ''}`
}

function describeKey({ key, running, waiting, nextStartAt }: KeyStatus): string {
  const next = nextStartAt === null ? '' : `, next start at ${timeText(nextStartAt)}`
  return `${keyText(key)} (${running} running, ${waiting} waiting${next})`
}

/** A value of the column `limit_key` for people: without the colon, if the limit has no keys. */
export function limitKeyText(limitKey: string): string {
  return printable(limitKey.replace(/:$/, ''), 1000)
}

/** A key as text; that of a limit without keys is empty. */
export function keyText(key: string): string {
  return key === '' ? 'all calls' : printable(key, 100)
}
