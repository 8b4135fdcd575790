import { type Duration, milliseconds } from '../core/duration.js'
import { AsyncGenError, type ErrorRecord } from '../core/errors.js'
import type { Decimal } from '../core/prisma/decimal.js'
import { deserialize, type Json } from '../core/serialize.js'
import { isStale, type Staleness } from './staleness.js'
import type { ToastRow } from './store.js'

/** What went wrong, as far as readers should know: no stack, as readings are often sent to a browser. */
export type Failure = Pick<ErrorRecord, 'name' | 'message' | 'code'>

/** What the toast says about the value that it comes with. */
export interface Toastr {
  /** How long the computation took, in seconds. */
  elapsed: number
  /** When the computation began. */
  cached_at: Date
  /** Whether the value is out of date; if so, a refresh is on its way. */
  stale: boolean
  /** Why the last refresh failed; absent when it did not. The row has its stack as well. */
  error?: Failure
  /** How far the refresh that runs says it is, from 0 to 1; absent where none runs, or where it does not say. */
  progress?: number
}

/** A value and what is known of it. A result that is no plain object stands under `value`. */
export type Ready<Result> = (Result extends NoPlainObject
  ? { value: Result }
  : Result extends object
    ? Result
    : { value: Result }) & { toastr: Toastr }

/** The objects that can be stored and are no plain ones. */
type NoPlainObject =
  | readonly unknown[]
  | Date
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>
  | Uint8Array
  | URL
  | RegExp
  | Pick<Decimal, 'toDecimalPlaces'>

/** What is returned while there is no value yet. */
export interface NotReady {
  error: string
  /** Why the first computation failed; absent when it did not. It is tried again. */
  cause?: Failure
  /** How far the computation says it is, from 0 to 1. */
  progress?: number
}

export type Reading<Result, Placeholder = NotReady> = Ready<Result> | Placeholder

/** Whether a read brought a value. */
export function isReady<Result extends object>(reading: Result): reading is Extract<Result, { toastr: Toastr }> {
  return 'toastr' in reading
}

interface ReadingOptions<Parent> extends Staleness<Parent> {
  maxStale?: Duration
}

type Interpreted<Result> = Ready<Result> | undefined

/** A row as a reader gets it; a promise of it only where `expireIf` returns one. Nothing where it holds no value that may still be served. */
export function readingOf<Result, Parent>(
  name: string,
  row: ToastRow | undefined,
  parent: Parent,
  options: ReadingOptions<Parent>,
  isOutdated: (version: string, row: ToastRow) => boolean,
): Interpreted<Result> | Promise<Interpreted<Result>> {
  if (!row || row.cached_at === null || row.age === null || row.elapsed === null) return undefined
  const { cached_at, age, elapsed, version } = row
  const cached = { name, parent, cachedAt: cached_at, age, elapsed, version }
  const reading = (stale: boolean): Interpreted<Result> => {
    if (stale && options.maxStale !== undefined && age > milliseconds(options.maxStale)) return undefined
    const value = readable(row.value)
    if (value === UNREADABLE) return undefined
    const toastr: Toastr = { elapsed, cached_at, stale, ...soFar(row) }
    if (row.refresh?.error) toastr.error = failureOf(row.refresh.error)
    return (isPlainObject(value) ? { ...value, toastr } : { value, toastr }) as Ready<Result>
  }
  const stale = row.invalidated || isStale(cached, parent, options, (parentVersion) => isOutdated(parentVersion, row))
  return typeof stale === 'boolean' ? reading(stale) : stale.then(reading)
}

/** @throws AsyncGenError RESERVED_KEY for a value that would lose a key in a reading */
export function refuseReservedKey(name: string, value: unknown): void {
  if (!isPlainObject(value) || !Object.hasOwn(value, 'toastr')) return
  throw new AsyncGenError(
    'RESERVED_KEY',
    `What ${name} returned has a key "toastr", where a reading says when and how its value was computed. Give the key another name.`,
  )
}

const UNREADABLE = Symbol('unreadable')

/** A value that somebody wrote by hand may not be one of ours; then there is none, and the next refresh brings one. */
function readable(stored: Json): unknown {
  try {
    return deserialize(stored)
  } catch {
    return UNREADABLE
  }
}

export function notReady(row: ToastRow | undefined): NotReady {
  const error = row?.refresh?.error
  return { error: 'Data not yet available', ...(error && { cause: failureOf(error) }), ...soFar(row) }
}

function failureOf({ name, message, code }: ErrorRecord): Failure {
  return { name, message, ...(code !== undefined && { code }) }
}

function soFar(row: ToastRow | undefined): { progress?: number } {
  const progress = row?.refresh?.progress ?? null
  return progress === null ? {} : { progress }
}

function isPlainObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}
