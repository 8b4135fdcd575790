import { createHash } from 'node:crypto'
import { isPlainObject } from './plain-object.js'
import { isEnvelope, serialize } from './serialize.js'

/**
 * A SHA-256 digest of plain data, in hex. It does not depend on the order of object keys; a key whose value is undefined is ignored.
 *
 * @param value any value that `serialize` accepts
 * @throws UnserializableError, PayloadTooLargeError
 */
export function digestOf(value: unknown, name = 'args'): string {
  const stored = JSON.parse(serialize(canonical(value), name))
  // One object in two places, and two equal objects, have the same digest.
  if (isEnvelope(stored)) delete stored.meta.referentialEqualities
  return createHash('sha256').update(JSON.stringify(stored)).digest('hex')
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical)
  if (value instanceof Map) return new Map(canonical([...value]) as [unknown, unknown][])
  if (value instanceof Set) return new Set(canonical([...value]) as unknown[])
  if (!isPlainObject(value)) return value
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, item]) => [key, canonical(item)]))
}
