import { AsyncGenError } from '../core/errors.js'
import { idOf as wholeNumber } from '../core/id.js'

/** The fields that tell a model's records apart: one, or several for a composite key. */
export type KeyFields = string | readonly string[]

/** What Prisma takes as `where` to find a record by its key. */
export type KeyValues = Record<string, unknown>

/**
 * The key of a parent as text, the same that SQL makes of it: `to_jsonb("id")::text` for one field,
 * `jsonb_build_array("a", "b")::text` for several.
 *
 * @param wholeNumbers the fields that the database has as whole numbers: there, text of digits is the number, as in JSON and URLs
 * @throws AsyncGenError NOT_PERSISTED where a field has no value, INVALID_KEY where it has one that is no key, INVALID_ID
 */
export function keyOf(
  name: string,
  parent: unknown,
  fields: KeyFields = 'id',
  wholeNumbers?: ReadonlySet<string>,
): string {
  const part = (field: string) => {
    const given = (parent as KeyValues | null | undefined)?.[field]
    const isDigits = typeof given === 'string' && wholeNumbers?.has(field)
    const value = isDigits ? wholeNumber(given, `The toast ${name}: its record`) : given
    const text = textOf(value)
    if (text !== undefined) return text
    if (value === undefined || value === null) {
      throw new AsyncGenError(
        'NOT_PERSISTED',
        `Record must be persisted before the toast ${name} can be read: it has no ${field}. ` +
          'A row that was read with `select` has to have it. A model whose key is another needs the option `id`, with the names of the fields.',
      )
    }
    if (typeof value === 'number') {
      throw new AsyncGenError(
        'INVALID_KEY',
        `The toast ${name} cannot be stored by ${field}: JavaScript has rounded ${value}. Give a bigint.`,
      )
    }
    const type = typeof value === 'object' ? (value.constructor?.name ?? 'object') : typeof value
    throw new AsyncGenError(
      'INVALID_KEY',
      `The toast ${name} cannot be stored by ${field}, which is a ${type}. A key is made of numbers, texts, booleans and Dates.`,
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

/** What a loader is given: the value of a single field, or all fields of a composite key. */
export function idOf(key: string, fields: KeyFields = 'id'): unknown {
  const values = valuesOf(key, fields)
  return typeof fields === 'string' ? values[fields] : values
}

/** The parts of a composite key: JSON texts, in which a comma may stand. */
const PARTS = /"(?:[^"\\]|\\.)*"|[^, ]+/g

function textOf(value: unknown): string | undefined {
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

/** Prisma takes numbers for a BigInt, and texts for a Date: what the text does not tell, it need not know. */
function fromText(text: string): number | bigint | string | boolean {
  if (/^["tf]/.test(text)) return JSON.parse(text)
  const number = Number(text)
  return Math.abs(number) > Number.MAX_SAFE_INTEGER ? BigInt(text) : number
}
