import { AsyncGenError, type ErrorRecord } from '../core/errors.js'
import { isPlainObject } from '../core/plain-object.js'
import type { Decimal } from '../core/prisma/decimal.js'
import { deserialize, type Json } from '../core/serialize.js'
import { isStale, type StalenessRule } from './staleness.js'
import type { ToastRow } from './store.js'

/** An error of a refresh, without its stack, because results are often sent to a browser. */
export type ToastFailure = Pick<ErrorRecord, 'name' | 'message' | 'code'>

/** Facts about a cached value. */
export interface Toastr {
  /** How long the computation took, in seconds. */
  elapsed: number
  /** When the computation began. */
  cached_at: Date
  /** Whether the value is stale. If so, a refresh has been requested. */
  stale: boolean
  /** The error of the last refresh; absent if it succeeded. The row also has the stack. */
  error?: ToastFailure
  /** The progress of the running refresh, from 0 to 1; absent if none runs or it has reported none. */
  progress?: number
  /** The text that it has reported with its progress. */
  progressMessage?: string
}

/** A value with its `toastr`. A result that is not a plain object is returned as `{ value, toastr }`. */
export type ReadyToast<Result> = (Result extends OtherObject
  ? { value: Result }
  : Result extends object
    ? Result
    : { value: Result }) & { toastr: Toastr }

/** Objects that can be stored and are not plain objects. */
type OtherObject =
  | readonly unknown[]
  | Date
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>
  | Uint8Array
  | URL
  | RegExp
  | Pick<Decimal, 'toDecimalPlaces'>

/** What a read returns while there is no value yet. */
export interface ToastPlaceholder {
  error: string
  /** The error of the last computation; absent if none has failed. It is tried again. */
  cause?: ToastFailure
  /** The progress of the running computation, from 0 to 1; absent if it has reported none. */
  progress?: number
  /** The text that it has reported with its progress. */
  progressMessage?: string
}

/** What a read returns: the value, or the placeholder. */
export type ToastResult<Result, Placeholder = ToastPlaceholder> = ReadyToast<Result> | Placeholder

/** Whether a result has a value, and is not a placeholder. */
export function isReady<Result extends object>(result: Result): result is Extract<Result, { toastr: Toastr }> {
  return 'toastr' in result
}

type CachedResult<Result> = ReadyToast<Result> | undefined

/** The result of a read from its row; undefined if the row has no value that may be served. A promise only if `expireIf` returns one. */
export function resultOf<Result, Parent>(
  name: string,
  row: ToastRow | undefined,
  parent: Parent,
  rule: StalenessRule<Parent>,
  isOutdated: (version: string, row: ToastRow) => boolean,
): CachedResult<Result> | Promise<CachedResult<Result>> {
  if (!row || row.cached_at === null || row.age === null || row.elapsed === null) return undefined
  const { cached_at, age, elapsed, version } = row
  const cached = { name, parent, cachedAt: cached_at, age, elapsed, version }
  const result = (stale: boolean): CachedResult<Result> => {
    if (stale && rule.maxStale !== undefined && age > rule.maxStale) return undefined
    const value = tryDeserialize(row.value)
    if (value === NOT_A_VALUE) return undefined
    const toastr: Toastr = { elapsed, cached_at, stale, ...progressOf(row) }
    if (row.refresh?.error) toastr.error = failureOf(row.refresh.error)
    return (isPlainObject(value) ? { ...value, toastr } : { value, toastr }) as ReadyToast<Result>
  }
  const stale = row.invalidated || isStale(cached, parent, rule, (parentVersion) => isOutdated(parentVersion, row))
  return typeof stale === 'boolean' ? result(stale) : stale.then(result)
}

/** @throws AsyncGenError RESERVED_KEY for a value whose key `toastr` would be overwritten in a result */
export function refuseReservedKey(name: string, value: unknown): void {
  if (!isPlainObject(value) || !Object.hasOwn(value, 'toastr')) return
  throw new AsyncGenError(
    'RESERVED_KEY',
    `The result of ${name} has a key "toastr", which is reserved for facts about the cached value. Rename the key.`,
  )
}

const NOT_A_VALUE = Symbol('not a value')

/** A value that was written by hand may be invalid. It counts as missing until the next refresh replaces it. */
function tryDeserialize(stored: Json): unknown {
  try {
    return deserialize(stored)
  } catch {
    return NOT_A_VALUE
  }
}

export function notReady(row: ToastRow | undefined): ToastPlaceholder {
  const error = row?.refresh?.error
  return { error: 'Data not yet available', ...(error && { cause: failureOf(error) }), ...progressOf(row) }
}

function failureOf({ name, message, code }: ErrorRecord): ToastFailure {
  return { name, message, ...(code !== undefined && { code }) }
}

function progressOf(row: ToastRow | undefined): Pick<Toastr, 'progress' | 'progressMessage'> {
  const { progress = null, progress_message: message = null } = row?.refresh ?? {}
  return progress === null ? {} : { progress, ...(message !== null && { progressMessage: message }) }
}
