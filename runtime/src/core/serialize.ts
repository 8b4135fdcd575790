import { SuperJSON } from 'superjson'
import { PayloadTooLargeError, UnserializableError } from './errors.js'
import { isPlainObject } from './plain-object.js'
import { type Decimal, decimalFrom } from './prisma/decimal.js'

/** JSON as jsonb holds it. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** A value with types that JSON does not have, as SuperJSON writes it: plain JSON, and `meta` with the types. */
interface Envelope {
  json: Json
  meta: { referentialEqualities?: object }
}

const superjson = new SuperJSON()

// jsonb accepts neither U+0000 nor lone surrogates.
superjson.registerCustom<string, string>(
  {
    isApplicable: (value): value is string => typeof value === 'string' && !fitsJsonb(value),
    serialize: (text) => Buffer.from(text, 'utf16le').toString('base64'),
    deserialize: (base64) => Buffer.from(base64, 'base64').toString('utf16le'),
  },
  'utf16',
)
superjson.registerCustom<Uint8Array, string>(
  {
    isApplicable: (value): value is Uint8Array => value instanceof Uint8Array,
    serialize: (bytes) => Buffer.from(bytes).toString('base64'),
    deserialize: (base64) => Uint8Array.from(Buffer.from(base64, 'base64')),
  },
  'bytes',
)
superjson.registerCustom<Decimal, string>(
  { isApplicable: isDecimal, serialize: (decimal) => decimal.toString(), deserialize: decimalFrom },
  'decimal',
)

/** The default limit for a value, in bytes of JSON: 8 MB. */
export const MAX_BYTES = 8 * 2 ** 20

/**
 * Turns a value into JSON text for a jsonb column. Plain JSON is stored unchanged, so that SQL can query it. A value that contains
 * a Date, bigint, Map, Set, Decimal, URL, RegExp, Error, bytes, undefined, NaN or an infinity becomes `{ json, meta }`.
 * A number of any copy of decimal.js is restored as the PrismaClient's own `Prisma.Decimal`.
 *
 * @param name the name of the value in an error message: `args[0]`, `result`
 * @throws UnserializableError, which names the part that cannot be stored; PayloadTooLargeError above `maxBytes`
 */
export function serialize(value: unknown, name = 'value', maxBytes = MAX_BYTES): string {
  const plain = check(value, name, [])
  const text = JSON.stringify(plain && !isEnvelope(value) ? value : envelope(value))
  if (hasUnstorableText(text)) throw new UnserializableError(`${name} contains text that PostgreSQL cannot store.`)
  const bytes = Buffer.byteLength(text)
  if (bytes > maxBytes) throw new PayloadTooLargeError(name, bytes, maxBytes)
  return text
}

/** The content of a jsonb column as plain JSON, without the types that JSON does not have. */
export function jsonOf(stored: Json): Json {
  return isEnvelope(stored) ? stored.json : stored
}

/** The value in a jsonb column that was written by `serialize`, or by hand as plain JSON. */
export function deserialize(stored: Json): unknown {
  return isEnvelope(stored) ? superjson.deserialize(stored as never) : stored
}

function envelope(value: unknown): Envelope {
  const { json, meta } = superjson.serialize(value)
  return { json: json as Json, meta: meta ?? {} }
}

export function isEnvelope(value: unknown): value is Envelope {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const keys = Object.keys(value)
  return keys.length === 2 && 'json' in value && 'meta' in value
}

/** Whether the value is plain JSON. Throws UnserializableError for a part that could not be restored. */
function check(value: unknown, path: string, ancestors: object[]): boolean {
  switch (typeof value) {
    case 'boolean':
      return true
    case 'string':
      return fitsJsonb(value)
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
    case 'bigint':
    case 'undefined':
      return false
    case 'object':
      return value === null || checkObject(value, path, ancestors)
    default:
      throw new UnserializableError(`${path} is a ${typeof value}, which cannot be stored. Pass plain data instead.`)
  }
}

function checkObject(value: object, path: string, ancestors: object[]): boolean {
  if (ancestors.includes(value)) throw new UnserializableError(`${path} contains itself, so it cannot be stored.`)
  const inside = [...ancestors, value]
  if (Array.isArray(value)) return checkList(value, path, inside)
  if (value instanceof Map) {
    for (const [key, item] of value) {
      check(key, `a key of ${path}`, inside)
      check(item, `${path}.get(${String(key)})`, inside)
    }
    return false
  }
  if (value instanceof Set) {
    for (const item of value) check(item, `an item of ${path}`, inside)
    return false
  }
  if (isKnownClass(value, path)) return false
  if (!isPlainObject(value)) throw notPlain(value, path)
  let plain = true
  for (const [key, item] of Object.entries(value)) {
    if (!fitsJsonb(key))
      throw new UnserializableError(`${path} has a key that PostgreSQL cannot store: ${JSON.stringify(key)}.`)
    plain = check(item, `${path}.${key}`, inside) && plain
  }
  // SuperJSON would not look for types in an object of another realm.
  if (!plain && !(value instanceof Object) && Object.getPrototypeOf(value) !== null) throw notPlain(value, path)
  return plain
}

function notPlain(value: object, path: string): UnserializableError {
  return new UnserializableError(
    `${path} is an instance of ${value.constructor?.name ?? 'a class'}, which cannot be stored. Pass its id or plain data instead.`,
  )
}

function checkList(list: unknown[], path: string, inside: object[]): boolean {
  let plain = true
  for (const [i, item] of list.entries()) {
    if (!(i in list)) throw new UnserializableError(`${path}[${i}] is a hole in an array, which cannot be stored.`)
    plain = check(item, `${path}[${i}]`, inside) && plain
  }
  return plain
}

function isKnownClass(value: object, path: string): boolean {
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime()))
      throw new UnserializableError(`${path} is an invalid Date, which cannot be stored.`)
    return true
  }
  return isDecimal(value) || [Uint8Array, URL, RegExp, Error].some((known) => value instanceof known)
}

/** Checked by shape, because an application may have several copies of decimal.js. */
function isDecimal(value: unknown): value is Decimal {
  if (typeof value !== 'object' || value === null || !('d' in value && 's' in value && 'e' in value)) return false
  return 'toDecimalPlaces' in value && (Array.isArray(value.d) || value.d === null)
}

function fitsJsonb(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}

/** Whether JSON has text that `check` could not see: that of a RegExp, or of a getter that returns different values. */
function hasUnstorableText(json: string): boolean {
  return json.includes('\\u') && /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/.test(json)
}
