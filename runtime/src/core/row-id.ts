import { described } from './described.js'
import { AsyncGenError } from './errors.js'

/** The id of a row: a bigint, a whole number, or its digits as text, as `toJSON` and URLs have it. */
export type RowId = bigint | number | string

/** The limits of a column of type bigint. A row that was written by hand may have any of them. */
export const SMALLEST_ID = -(2n ** 63n)
const LARGEST_ID = 2n ** 63n - 1n

/**
 * An id as PostgreSQL's `bigint`.
 * @param what the method or the job that gets the id, for the message
 * @throws AsyncGenError INVALID_ID for what is no whole number, and for numbers that JavaScript has rounded
 */
export function rowIdOf(id: unknown, what: string): bigint {
  const value = rowIdIn(id)
  if (value !== undefined) return value
  throw new AsyncGenError(
    'INVALID_ID',
    `${what}: ${described(id)} is not an id. An id is a bigint, a whole number up to ${Number.MAX_SAFE_INTEGER}, or its digits as text: "12".`,
  )
}

/** The same, but undefined for what is no id. */
export function rowIdIn(id: unknown): bigint | undefined {
  const isWhole =
    typeof id === 'bigint' || Number.isSafeInteger(id) || (typeof id === 'string' && /^-?\d{1,19}$/.test(id))
  const value = isWhole ? BigInt(id as RowId) : undefined
  return value !== undefined && value <= LARGEST_ID && value >= SMALLEST_ID ? value : undefined
}
