import { type Duration, milliseconds } from '../core/duration.js'
import { AsyncGenError } from '../core/errors.js'

/** A value in the cache, as `expireIf` sees it. */
export interface CachedToast<Parent = unknown> {
  name: string
  /** The record that the toast is read with. */
  parent: Parent
  /** When the computation of the value began. */
  cachedAt: Date
  /** How long ago that was, in milliseconds, by the clock of the database. */
  age: number
  /** How long the computation took, in seconds. */
  elapsed: number
  /** The parent's version before the value was computed. */
  version: string | null
}

/** When a value counts as stale. The first that is given decides alone; with neither, a parent that has changed does. */
export interface Staleness<Parent> {
  /** Stale when older than this. */
  expireIn?: Duration
  /** Stale when this says so; it may ask the database. `parent` is `toast.parent`. */
  expireIf?: ExpireIf<Parent>
}

export type ExpireIf<Parent> = (toast: CachedToast<Parent>, parent: Parent) => boolean | Promise<boolean>

/**
 * Sees to it that something tells when a value is stale, before there is one.
 *
 * @throws AsyncGenError NO_VERSION for a parent without `updatedAt`, where that has to decide
 */
export function requirePolicy<Parent>(name: string, parent: Parent, { expireIn, expireIf }: Staleness<Parent>): void {
  if (expireIn === undefined && !expireIf) requireUpdatedAt(name, parent)
}

/**
 * Whether a cached value is stale for this parent.
 *
 * By default it is where the versions differ, in whichever direction: clocks go back, and two machines never agree on the time.
 * @param isOutdated whether it is the parent that is out of date, and not the value; asked where the parent is the older one
 */
export function isStale<Parent>(
  toast: CachedToast<Parent>,
  parent: Parent,
  { expireIn, expireIf }: Staleness<Parent>,
  isOutdated: (version: string) => boolean,
): boolean | Promise<boolean> {
  if (expireIn !== undefined) return toast.age > milliseconds(expireIn)
  if (expireIf) return decision(expireIf(toast, parent))
  const version = requireUpdatedAt(toast.name, parent).toISOString()
  if (toast.version === null || version > toast.version) return true
  return version < toast.version && !isOutdated(version)
}

/** What is no promise is decided at once: most reads need none. */
function decision(stale: boolean | PromiseLike<boolean>): boolean | Promise<boolean> {
  const isPromise = typeof (stale as Partial<PromiseLike<boolean>> | undefined)?.then === 'function'
  return isPromise ? Promise.resolve(stale).then(Boolean) : Boolean(stale)
}

/** As much of a row as tells whether it has been refreshed since. */
interface RefreshedRow {
  run: number
  refresh: object | null
}

/**
 * Remembers which parents are out of date. A parent that is older than a value may be an old copy that its reader has kept, or the parent
 * of today, changed by a clock that went back. A refresh tells: it reads the parent again. Where one has begun since such a parent was
 * first seen, and the versions still differ, the parent is an old copy. Each causes one refresh at most in a process, so that readers
 * with different copies do not have the value computed again and again.
 */
export class OutdatedParents {
  /** The run that the row was in when the parent was first seen; null once it is known to be out of date. */
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

/** The version of a parent: when it was last updated, as an ISO 8601 text; null where it keeps no such time. */
export function versionOf(parent: unknown): string | null {
  const updatedAt = updatedAtOf(parent)
  return updatedAt && isValid(updatedAt) ? updatedAt.toISOString() : null
}

function updatedAtOf(parent: unknown): Date | undefined {
  const updatedAt = (parent as { updatedAt?: unknown } | null)?.updatedAt
  return updatedAt instanceof Date ? updatedAt : undefined
}

function requireUpdatedAt(name: string, parent: unknown): Date {
  const updatedAt = updatedAtOf(parent)
  if (updatedAt && isValid(updatedAt)) return updatedAt
  if (updatedAt) {
    throw new AsyncGenError(
      'NO_VERSION',
      `The toast ${name} cannot detect changes of its parent: the parent's updatedAt is an invalid Date. ` +
        "Prisma reads times so where DateStyle is not ISO: new PrismaPg({ connectionString, options: '-c DateStyle=ISO' }).",
    )
  }
  throw new AsyncGenError(
    'NO_VERSION',
    `The toast ${name} cannot detect changes of its parent: the parent has no updatedAt. ` +
      'Give the model an `updatedAt DateTime @updatedAt`, or the toast `expireIn` or `expireIf`. ' +
      'A row that was read with `select` has to have it, too.',
  )
}

function isValid(date: Date): boolean {
  return !Number.isNaN(date.getTime())
}
