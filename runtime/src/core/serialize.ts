import { SuperJSON } from 'superjson'
import { PayloadTooLargeError, UnserializableError } from './errors.js'
import { Decimal } from './prisma/decimal.js'

/** JSON as jsonb holds it. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** A value whose types JSON does not know: SuperJSON's pair of plain JSON and what it stands for. */
interface Envelope {
  json: Json
  meta: { referentialEqualities?: object }
}

const superjson = new SuperJSON()

// jsonb takes neither U+0000 nor half a surrogate pair.
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
  { isApplicable: isDecimal, serialize: (decimal) => decimal.toString(), deserialize: (text) => new Decimal(text) },
  'decimal',
)

/** How much JSON a value may take unless its owner allows more: 8 MB. */
export const MAX_BYTES = 8 * 2 ** 20

/**
 * Turns a value into JSON text for a jsonb column. Plain JSON stays as it is, so that SQL can query it; a value that holds
 * a Date, bigint, Map, Set, Decimal, URL, RegExp, Error, bytes, undefined, NaN or an infinity becomes `{ json, meta }`.
 * A decimal.js number of whatever copy comes back as the PrismaClient's own `Prisma.Decimal`.
 *
 * @param name what the value is called in an error: `args[0]`, `result`
 * @throws UnserializableError naming the part that cannot be stored; PayloadTooLargeError above `maxBytes`
 */
export function serialize(value: unknown, name = 'value', maxBytes = MAX_BYTES): string {
  const plain = check(value, name, [])
  const text = JSON.stringify(plain && !isEnvelope(value) ? value : envelope(value))
  if (holdsRefused(text)) throw new UnserializableError(`${name} contains text that PostgreSQL cannot store.`)
  const bytes = Buffer.byteLength(text)
  if (bytes > maxBytes) throw new PayloadTooLargeError(name, bytes, maxBytes)
  return text
}

/** The plain JSON of what a jsonb column holds: as it is, or without what says which types it stands for. */
export function jsonOf(stored: Json): Json {
  return isEnvelope(stored) ? stored.json : stored
}

/** The value of what a jsonb column holds, written by `serialize` or by hand as plain JSON. */
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

/** Whether the value is plain JSON. Throws where a part of it could not come back as it was. */
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
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw new UnserializableError(
      `${path} is an instance of ${prototype.constructor?.name ?? 'a class'}, which cannot be stored. Pass its id or plain data instead.`,
    )
  }
  let plain = true
  for (const [key, item] of Object.entries(value)) {
    if (!fitsJsonb(key))
      throw new UnserializableError(`${path} has a key that PostgreSQL cannot store: ${JSON.stringify(key)}.`)
    plain = check(item, `${path}.${key}`, inside) && plain
  }
  return plain
}

function checkList(list: unknown[], path: string, inside: object[]): boolean {
  let plain = true
  for (const [i, item] of list.entries()) {
    if (!(i in list)) throw new UnserializableError(`${path}[${i}] is a hole in a list, which cannot be stored.`)
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

/** By its shape: an application may hold numbers of several copies of decimal.js. */
function isDecimal(value: unknown): value is Decimal {
  if (typeof value !== 'object' || value === null || !('d' in value && 's' in value && 'e' in value)) return false
  return 'toDecimalPlaces' in value && (Array.isArray(value.d) || value.d === null)
}

function fitsJsonb(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}

/** Whether JSON holds what `check` could not see: text of a RegExp, or of a getter that says something else each time. */
function holdsRefused(json: string): boolean {
  return json.includes('\\u') && /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/.test(json)
}
