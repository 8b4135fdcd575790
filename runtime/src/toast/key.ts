import { AsyncGenError } from '../errors.js'

/** The id of a parent as text, the same that `to_jsonb(id)::text` gives in SQL. */
export function keyOf(name: string, parent: unknown): string {
  const id = (parent as { id?: unknown } | null | undefined)?.id
  switch (typeof id) {
    case 'number':
    case 'bigint':
      return String(id)
    case 'string':
      return JSON.stringify(id)
    default:
      throw new AsyncGenError(
        'NOT_PERSISTED',
        `Record must be persisted before the toast ${name} can be read: it has no id.`,
      )
  }
}

/** The id that a key stands for. */
export function idOf(key: string): number | bigint | string {
  if (key.startsWith('"')) return JSON.parse(key)
  const number = Number(key)
  return Number.isSafeInteger(number) ? number : BigInt(key)
}
