import type { Duration } from '../core/duration.js'
import { AsyncGenError } from '../core/errors.js'
import { toDate } from '../core/postgres/parsers.js'

/** A cached value, as `expireIf` receives it. */
export interface CachedToast<Parent = unknown> {
  name: string
  /** The record that the toast is read with. */
  parent: Parent
  /** When the computation of the value began. */
  cachedAt: Date
  /** The time since `cachedAt` in milliseconds, by the clock of the database. */
  age: number
  /** How long the computation took, in seconds. */
  elapsed: number
  /** The parent's version, read before the value was computed. */
  version: string | null
}

/** When a value is stale. Only the first of these that is set is used: `expireIn`, `expireIf`, a change of the parent. */
export interface StalenessOptions<Parent> {
  /** A value older than this is stale. */
  expireIn?: Duration
  /** The value is stale if this returns true, or resolves with it: it may query the database. `parent` is `toast.parent`. */
  expireIf?: ExpireIf<Parent>
}

/** The same with parsed durations, in milliseconds. */
export interface StalenessRule<Parent> {
  expireIn: number | undefined
  expireIf: ExpireIf<Parent> | undefined
  /** How old a stale value may be and still be served. */
  maxStale: number | undefined
}

export type ExpireIf<Parent> = (toast: CachedToast<Parent>, parent: Parent) => boolean | Promise<boolean>

/**
 * Checks that it can be decided whether a value is stale, even before there is a value.
 *
 * @throws AsyncGenError NO_VERSION where only a change of the parent makes a value stale and the parent has no valid `updatedAt`
 */
export function requireStalenessRule<Parent>(
  name: string,
  parent: Parent,
  { expireIn, expireIf }: StalenessRule<Parent>,
): void {
  if (expireIn === undefined && !expireIf) requireUpdatedAt(name, parent)
}

/**
 * Whether a cached value is stale for this parent.
 *
 * By default, a value is stale if the versions differ, whichever is newer: clocks go back, and those of two machines differ.
 * @param isOutdated whether the parent is an old copy; called only if the parent is older than the value
 */
export function isStale<Parent>(
  toast: CachedToast<Parent>,
  parent: Parent,
  { expireIn, expireIf }: StalenessRule<Parent>,
  isOutdated: (version: string) => boolean,
): boolean | Promise<boolean> {
  if (expireIn !== undefined) return toast.age > expireIn
  if (expireIf) return booleanOf(expireIf(toast, parent))
  const version = requireUpdatedAt(toast.name, parent).toISOString()
  if (toast.version === null || version > toast.version) return true
  return version < toast.version && !isOutdated(version)
}

/** Stays synchronous unless `expireIf` returned a promise, because most reads need none. */
function booleanOf(stale: boolean | PromiseLike<boolean>): boolean | Promise<boolean> {
  const isPromise = typeof (stale as Partial<PromiseLike<boolean>> | undefined)?.then === 'function'
  return isPromise ? Promise.resolve(stale).then(Boolean) : Boolean(stale)
}

/** The columns that show whether a row has been refreshed. */
interface RefreshedRow {
  run: number
  refresh: object | null
}

/**
 * Remembers which parents are old copies. A parent that is older than the value may be an old copy that the reader has kept, or the
 * present record, changed by a machine whose clock is slow. A refresh decides it, because it loads the parent again: if the versions
 * still differ after a refresh, the parent is an old copy. Each such parent causes at most one refresh in a process, so that readers
 * with different copies do not repeat the computation for ever.
 */
export class OutdatedParents {
  /** The `run` of the row when the parent was first seen; null once the parent is known to be an old copy. */
  readonly #firstSeen = new Map<string, number | null>()

  isKnown(key: string, version: string, { run, refresh }: RefreshedRow): boolean {
    const id = `${version} ${key}`
    const firstSeen = this.#firstSeen.get(id)
    if (firstSeen === null) return true
    if (firstSeen === undefined) this.#remember(id, run)
    if (firstSeen === undefined || run <= firstSeen || refresh !== null) return false
    this.#firstSeen.set(id, null)
    return true
  }

  #remember(id: string, run: number): void {
    this.#firstSeen.set(id, run)
    for (const oldest of this.#firstSeen.keys()) {
      if (this.#firstSeen.size <= MAX_REMEMBERED) break
      this.#firstSeen.delete(oldest)
    }
  }
}

const MAX_REMEMBERED = 10_000

/** The version of a parent: its `updatedAt` as ISO 8601 text; null where it has no valid one. */
export function versionOf(parent: unknown): string | null {
  const updatedAt = updatedAtOf(parent)
  return updatedAt && isValid(updatedAt) ? updatedAt.toISOString() : null
}

/** With Prisma 8, the type in the contract decides what a time is: a Date, PostgreSQL's text, or a Temporal. */
function updatedAtOf(parent: unknown): Date | undefined {
  const updatedAt = (parent as { updatedAt?: unknown } | null)?.updatedAt
  if (updatedAt instanceof Date) return updatedAt
  const text = isTemporal(updatedAt) ? updatedAt.toString().replace(/Z$/, '+00:00') : updatedAt
  return typeof text === 'string' && /^\d{4,}-\d\d-\d\d(?!\d)/.test(text) ? toDate(text) : undefined
}

/** `Temporal.Instant`, or `Temporal.PlainDateTime` for a column without a time zone. */
function isTemporal(value: unknown): value is object {
  return Object.prototype.toString.call(value).startsWith('[object Temporal.')
}

function requireUpdatedAt(name: string, parent: unknown): Date {
  const updatedAt = updatedAtOf(parent)
  if (updatedAt && isValid(updatedAt)) return updatedAt
  if (updatedAt) {
    throw new AsyncGenError(
      'NO_VERSION',
      `The toast ${name} cannot detect changes of its parent: the parent's updatedAt is an invalid Date. ` +
        'Prisma returns invalid dates if DateStyle is not ISO. Set it where the client is made: ' +
        "new PrismaPg({ connectionString, options: '-c DateStyle=ISO' }).",
    )
  }
  throw new AsyncGenError(
    'NO_VERSION',
    `The toast ${name} cannot detect changes of its parent: the parent has no updatedAt. ` +
      'Add `updatedAt DateTime @updatedAt` to the model (with Prisma 8: `updatedAt temporal.updatedAtString()`), or `expireIn` or ' +
      '`expireIf` to the toast. ' +
      'If you read the record with `select`, select updatedAt.',
  )
}

function isValid(date: Date): boolean {
  return !Number.isNaN(date.getTime())
}
