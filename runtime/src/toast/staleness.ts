import { type Duration, milliseconds } from '../duration.js'
import { AsyncGenError } from '../errors.js'
import { isOlder } from './version.js'

/** A value in the cache, as `expireIf` sees it. */
export interface CachedToast {
  name: string
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
  /** Stale when this says so. */
  expireIf?: (toast: CachedToast, parent: Parent) => boolean
}

/**
 * Sees to it that something tells when a value is stale, before there is one.
 *
 * @throws AsyncGenError NO_VERSION for a parent without `updatedAt`, where that has to decide
 */
export function requirePolicy<Parent>(name: string, parent: Parent, { expireIn, expireIf }: Staleness<Parent>): void {
  if (expireIn === undefined && !expireIf) requireUpdatedAt(name, parent)
}

/** Whether a cached value is stale for this parent. */
export function isStale<Parent>(
  toast: CachedToast,
  parent: Parent,
  { expireIn, expireIf }: Staleness<Parent>,
): boolean {
  if (expireIn !== undefined) return toast.age > milliseconds(expireIn)
  if (expireIf) return Boolean(expireIf(toast, parent))
  return isOlder(toast.version, requireUpdatedAt(toast.name, parent))
}

/** The version of a parent: when it was last updated, as an ISO 8601 text; null where it keeps no such time. */
export function versionOf(parent: unknown): string | null {
  return updatedAtOf(parent)?.toISOString() ?? null
}

function updatedAtOf(parent: unknown): Date | undefined {
  const updatedAt = (parent as { updatedAt?: unknown } | null)?.updatedAt
  return updatedAt instanceof Date ? updatedAt : undefined
}

function requireUpdatedAt(name: string, parent: unknown): Date {
  const updatedAt = updatedAtOf(parent)
  if (updatedAt) return updatedAt
  throw new AsyncGenError(
    'NO_VERSION',
    `The toast ${name} cannot tell when its parent has changed: the parent has no updatedAt. ` +
      'Give the model an `updatedAt DateTime @updatedAt`, or the toast `expireIn` or `expireIf`.',
  )
}
