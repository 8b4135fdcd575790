import { AsyncGenError } from '../core/errors.js'
import { rowIdOf } from '../core/row-id.js'

/** The fields of a model's key: one, or several for a composite key. */
export type KeyFields = string | readonly string[]

/** A `where` of Prisma that finds a record by its key. */
export type KeyValues = Record<string, unknown>

/**
 * The key of a parent as text. SQL writes the same text: `to_jsonb("id")::text` for one field, `jsonb_build_array("a", "b")::text` for
 * several.
 *
 * @param wholeNumbers the fields of type Int or BigInt: for them, a string of digits is the number, as in JSON and URLs
 * @throws AsyncGenError NOT_PERSISTED where a field has no value, INVALID_KEY where its type cannot be a key, INVALID_ID
 */
export function toastKeyOf(
  name: string,
  parent: unknown,
  fields: KeyFields = 'id',
  wholeNumbers?: ReadonlySet<string>,
): string {
  const part = (field: string) => {
    const given = (parent as KeyValues | null | undefined)?.[field]
    const isDigits = typeof given === 'string' && wholeNumbers?.has(field)
    const value = isDigits ? rowIdOf(given, `The toast ${name}`) : given
    const text = keyText(value)
    if (text !== undefined) return text
    if (value === undefined || value === null) {
      throw new AsyncGenError(
        'NOT_PERSISTED',
        `Record must be persisted before the toast ${name} can be read: it has no ${field}. ` +
          'If you read the record with `select`, select the key. If the key of the model has other fields, name them in the option `id`.',
      )
    }
    if (typeof value === 'number') {
      throw new AsyncGenError(
        'INVALID_KEY',
        `The toast ${name} cannot use ${field} as its key: JavaScript has rounded ${value}. Pass a bigint.`,
      )
    }
    const type = typeof value === 'object' ? (value.constructor?.name ?? 'object') : typeof value
    throw new AsyncGenError(
      'INVALID_KEY',
      `The toast ${name} cannot use ${field} as its key, because it is of type ${type}. A key may have numbers, strings, booleans and Dates.`,
    )
  }
  return typeof fields === 'string' ? part(fields) : `[${fields.map(part).join(', ')}]`
}

/** The fields of a key with their values. */
export function valuesOf(key: string, fields: KeyFields = 'id'): KeyValues {
  if (typeof fields === 'string') return { [fields]: fromText(key) }
  const values = key.slice(1, -1).match(PARTS) ?? []
  return Object.fromEntries(fields.map((field, i) => [field, fromText(values[i]!)]))
}

/** The argument of `load`: the value of a single field, or all fields of a composite key. */
export function idOf(key: string, fields: KeyFields = 'id'): unknown {
  const values = valuesOf(key, fields)
  return typeof fields === 'string' ? values[fields] : values
}

/** The parts of a composite key. Each is JSON, and a string may contain a comma. */
const PARTS = /"(?:[^"\\]|\\.)*"|[^, ]+/g

function keyText(value: unknown): string | undefined {
  switch (typeof value) {
    case 'number':
      return Number.isSafeInteger(value) || (Number.isFinite(value) && value % 1 !== 0) ? String(value) : undefined
    case 'bigint':
    case 'boolean':
      return String(value)
    case 'string':
      return JSON.stringify(value)
    case 'object':
      return value instanceof Date ? JSON.stringify(value) : undefined
    default:
      return undefined
  }
}

/** The text does not show whether a number was a bigint, or a string a Date. Prisma accepts a number for BigInt and a string for DateTime. */
function fromText(text: string): number | bigint | string | boolean {
  if (/^["tf]/.test(text)) return JSON.parse(text)
  const number = Number(text)
  return Math.abs(number) > Number.MAX_SAFE_INTEGER ? BigInt(text) : number
}
