import type { Database } from '../core/database.js'
import { type Duration, milliseconds } from '../core/duration.js'
import { AsyncGenError } from '../core/errors.js'
import type { Statement } from '../core/statement.js'
import { batchIdOf } from './batches/reference.js'
import type { AttemptFilter, BoundClass } from './binding.js'
import { AttemptFields } from './fields.js'
import { columnsOf } from './recording.js'
import { ATTEMPT_STATUSES, type AttemptStatus, type RowFilter } from './row.js'
import { typesOf } from './subclasses.js'

const TEXTS = ['method', 'idempotenceToken', 'schedule', 'error', 'argument'] as const
const TIMES = ['createdAfter', 'createdBefore', 'endedAfter', 'endedBefore'] as const
const PROPERTIES: readonly string[] = ['status', 'target', ...TEXTS, 'parent', 'batch', ...TIMES, 'data']

/**
 * What the database needs of a filter. Everything in it is checked: a property that was ignored, because it is misspelt, would make an
 * operation change all rows.
 *
 * @param method the method that got the filter, for messages
 * @throws AsyncGenError INVALID_OPTION; UnknownTargetError for an object that `targets.ts` does not list
 */
export async function rowFilter(Attempt: BoundClass, given: object, method: string): Promise<RowFilter> {
  const what = `${Attempt.name}.${method}`
  const filter = checked(given, what)
  const [targetName, times, types] = await Promise.all([
    filter.target === undefined ? undefined : nameOfTarget(Attempt, filter.target, what),
    timesOf(Attempt.db, filter, what),
    typesOf(Attempt),
  ])
  return {
    statuses: filter.status === undefined ? undefined : statusesOf(filter.status, what),
    target: targetName,
    method: filter.method,
    idempotenceToken: filter.idempotenceToken,
    error: filter.error,
    argument: filter.argument,
    parentId: filter.parent === undefined ? undefined : parentOf(Attempt, filter.parent, what),
    batchId: filter.batch === undefined ? undefined : BigInt(batchIdOf(Attempt, filter.batch, `${what}: batch`)),
    schedule: filter.schedule,
    types,
    ...times,
    data: filter.data === undefined ? undefined : columnsOf(Attempt, objectOf(filter.data, 'data', what)),
  }
}

/** The error for a property of a filter, or an option, that has another value than those allowed. */
export function invalid(what: string, property: string, value: unknown, allowed: string): AsyncGenError {
  return new AsyncGenError('INVALID_OPTION', `${what}: ${property} is ${shown(value)}. It must be ${allowed}.`)
}

/** The time that a Date or a duration from now stands for, by the clock of the database. */
export async function timeOf(db: Database, time: Date | Duration, what: string, property: string): Promise<Date> {
  return time instanceof Date
    ? dateOf(time, what, property)
    : new Date((await databaseTime(db)) + durationOf(time, what, property))
}

function checked(given: object, what: string): AttemptFilter {
  const filter = objectOf(given, 'the filter', what) as Record<string, unknown>
  for (const property of Object.keys(filter)) {
    if (PROPERTIES.includes(property)) continue
    throw new AsyncGenError(
      'INVALID_OPTION',
      `${what}: a filter has no property ${JSON.stringify(property)}. It may have: ${PROPERTIES.join(', ')}.`,
    )
  }
  for (const property of TEXTS) {
    const text = filter[property]
    if (text !== undefined && !isText(text)) throw invalid(what, property, text, 'a text that is not empty')
  }
  return filter as AttemptFilter
}

function statusesOf(given: AttemptStatus | readonly AttemptStatus[], what: string): AttemptStatus[] {
  const statuses: readonly AttemptStatus[] = Array.isArray(given) ? given : [given as AttemptStatus]
  const isValid = statuses.length > 0 && statuses.every((status) => ATTEMPT_STATUSES.includes(status))
  if (!isValid) throw invalid(what, 'status', given, `one or several of: ${ATTEMPT_STATUSES.join(', ')}`)
  return [...new Set(statuses)]
}

async function nameOfTarget(Attempt: BoundClass, target: unknown, what: string): Promise<string> {
  if (isText(target)) return target
  const isObject = (typeof target === 'object' && target !== null) || typeof target === 'function'
  if (!isObject) throw invalid(what, 'target', target, 'a target that targets.ts lists, or its name')
  return (await Attempt.targets()).nameOf(target)
}

function parentOf({ store }: BoundClass, parent: unknown, what: string): bigint {
  const isOwn = parent instanceof AttemptFields && (parent.constructor as unknown as BoundClass).store === store
  if (!isOwn) throw invalid(what, 'parent', parent, `an attempt of the table ${store.table}`)
  return parent.id
}

async function timesOf(db: Database, filter: AttemptFilter, what: string) {
  const given = TIMES.filter((property) => filter[property] !== undefined)
  const needsClock = given.some((property) => !(filter[property] instanceof Date))
  const now = needsClock ? await databaseTime(db) : 0
  const entries = given.map((property) => {
    const time = filter[property]!
    const date = time instanceof Date ? dateOf(time, what, property) : new Date(now - durationOf(time, what, property))
    return [property, dateOf(date, what, property)] as const
  })
  return Object.fromEntries(entries) as Pick<RowFilter, (typeof TIMES)[number]>
}

function dateOf(date: Date, what: string, property: string): Date {
  if (Number.isFinite(date.getTime())) return date
  throw invalid(what, property, date, "a valid Date, or a duration such as '1 day'")
}

function durationOf(duration: Duration, what: string, property: string): number {
  try {
    return milliseconds(duration)
  } catch {
    throw invalid(what, property, duration, "a valid Date, or a duration such as '1 day'")
  }
}

/** Milliseconds since 1970. The rows have times of this clock. */
async function databaseTime(db: Database): Promise<number> {
  const [row] = await db.query<{ now: Date }>(readTime, [])
  return row!.now.getTime()
}

const readTime: Statement = { name: 'async-gen:time', text: 'SELECT clock_timestamp() AS now' }

function objectOf(value: unknown, property: string, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw invalid(what, property, value, 'an object')
}

/** PostgreSQL stores no text with the character NUL. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !value.includes('\0')
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(shown).join(', ')}]`
  if (value instanceof Date) return Number.isFinite(value.getTime()) ? value.toISOString() : 'an invalid Date'
  return (typeof value === 'object' && value !== null) || typeof value === 'function' ? 'an object' : String(value)
}
