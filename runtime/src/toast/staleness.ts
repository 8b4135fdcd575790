import { type Duration, milliseconds } from '../duration.js'
import { AsyncGenError } from '../errors.js'

/** A value in the cache, as `expireIf` sees it. */
export interface CachedToast {
  name: string
  /** When the computation of the value began. */
  cachedAt: Date
  /** Seconds. */
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

/** Whether a cached value is stale for this parent. */
export function isStale<Parent>(
  toast: CachedToast,
  parent: Parent,
  { expireIn, expireIf }: Staleness<Parent>,
): boolean {
  if (expireIn !== undefined) return Date.now() - toast.cachedAt.getTime() > milliseconds(expireIn)
  if (expireIf) return Boolean(expireIf(toast, parent))
  return isOlder(toast.version, requireVersion(toast.name, parent))
}

/** The version of a parent: when it was last updated, as an ISO 8601 text; null where it keeps no such time. */
export function versionOf(parent: unknown): string | null {
  const updatedAt = (parent as { updatedAt?: unknown } | null)?.updatedAt
  return updatedAt instanceof Date ? updatedAt.toISOString() : null
}

function requireVersion(name: string, parent: unknown): string {
  const version = versionOf(parent)
  if (version !== null) return version
  throw new AsyncGenError(
    'NO_VERSION',
    `The toast ${name} cannot tell when its parent has changed: the parent has no updatedAt. ` +
      'Give the model an `updatedAt DateTime @updatedAt`, or the toast `expireIn` or `expireIf`.',
  )
}

/** ISO 8601 texts of one length sort as the times that they stand for. */
function isOlder(version: string | null, than: string): boolean {
  return version === null || version < than
}
