import pg from 'pg'
import { toDate } from '../postgres/parsers.js'

/**
 * The rows of a statement of the runtime. Prisma 8 gives times and lists as PostgreSQL's text, and no types of columns. So a value is a time
 * if its column has the name of one and its text is one.
 */
export function readRows<Row>(rows: readonly unknown[]): Row[] {
  return rows.map((row) => {
    const read = Object.entries(row as object).map(([column, value]) => [column, readValue(column, value)])
    return Object.fromEntries(read) as Row
  })
}

function readValue(column: string, value: unknown): unknown {
  if (typeof value !== 'string') return value
  if (TIMES.test(column) && TIME.test(value)) return toDate(value)
  return LISTS.has(column) ? readList(value) : value
}

/** The names of columns with times: `scheduled_at`, `scheduledAt`, `debounce_until`. */
const TIMES = /(?:_at|At|_until|Until|^until)$/

const TIME = /^\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d(?::\d\d)?(?: BC)?$|^-?infinity$/

const LISTS: ReadonlySet<string> = new Set(['after_ids', 'afterIds', 'tasks'])

const TEXT_ARRAY: number = 1009

const readList: (text: string) => unknown = pg.types.getTypeParser(TEXT_ARRAY, 'text')
