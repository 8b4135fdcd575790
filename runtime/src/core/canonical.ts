import { createHash } from 'node:crypto'
import { isEnvelope, serialize } from './serialize.js'

/**
 * A digest of plain data that does not depend on the order of its keys. A key without a value counts as none.
 *
 * @param value something that `serialize` takes: what contains itself has no digest
 */
export function digestOf(value: unknown, name = 'args'): string {
  const stored = JSON.parse(serialize(canonical(value), name))
  // Whether two places hold one object or two that are equal is no part of what the value is.
  if (isEnvelope(stored)) delete stored.meta.referentialEqualities
  return createHash('sha256').update(JSON.stringify(stored)).digest('hex')
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical)
  if (value instanceof Map) return new Map(canonical([...value]) as [unknown, unknown][])
  if (value instanceof Set) return new Set(canonical([...value]) as unknown[])
  if (!isPlain(value)) return value
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, item]) => [key, canonical(item)]))
}

function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
