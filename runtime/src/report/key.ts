import { createHash } from 'node:crypto'
import { serialize } from '../serialize.js'

/** A digest of a report's arguments that does not depend on the order of their keys. */
export function digestOf(args: object): string {
  return createHash('sha256')
    .update(serialize(canonical(args), 'args'))
    .digest('hex')
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, item]) => [key, canonical(item)]))
}
