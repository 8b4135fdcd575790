import { createHash } from 'node:crypto'
import { serialize } from './serialize.js'

/** A digest of plain data that does not depend on the order of its keys. A key without a value counts as none. */
export function digestOf(value: unknown, name = 'args'): string {
  return createHash('sha256')
    .update(serialize(canonical(value), name))
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
