import type { Field } from '../core/prisma/client.js'
import { decimalFrom } from '../core/prisma/decimal.js'

/** What a column holds, whether pg or the PrismaClient has read it, as the PrismaClient gives it. */
export function fromColumn(field: Pick<Field, 'type'>, value: unknown): unknown {
  if (value === null || value === undefined) return value
  if (Array.isArray(value) && field.type !== 'Json') return value.map((item) => fromColumn(field, item))
  if (field.type === 'BigInt') return BigInt(value as string)
  if (field.type === 'Decimal') return decimalFrom(value as string)
  return field.type === 'Bytes' ? Uint8Array.from(value as Uint8Array) : value
}

/** A field's value in JSON of which PostgreSQL makes the column's. */
export function toColumn(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`
  return Array.isArray(value) ? value.map(toColumn) : value
}
