import { AsyncGenError } from '../core/errors.js'

/** What tells a state of the data from a later one: a number that grows, or a time. A text needs a comparator. */
export type Version = number | bigint | Date | string

/** Less than 0 where `a` is older than `b`, more than 0 where it is newer. */
export type CompareVersions = (a: string, b: string) => number

/**
 * A version as the table keeps it: digits, ISO 8601, or the text itself.
 *
 * @throws AsyncGenError INVALID_VERSION for what cannot be ordered
 */
export function versionText(version: Version, compare?: CompareVersions): string {
  if (typeof version === 'string') {
    if (compare) return version
    throw new AsyncGenError(
      'INVALID_VERSION',
      `${JSON.stringify(version)} is a text, and only you know which of two texts is the newer version: ` +
        'give asyncCached the option `compare`, or pass a number or a Date.',
    )
  }
  if (typeof version !== 'bigint' && !Number.isFinite(version.valueOf())) {
    throw new AsyncGenError('INVALID_VERSION', `${version} cannot be a version: nothing is older or newer than it.`)
  }
  return version instanceof Date ? version.toISOString() : String(version)
}

/** Whether a cached version, as the table keeps it, is older than another. */
export function isOlder(cached: string | null, version: Version, compare?: CompareVersions): boolean {
  if (cached === null) return true
  if (compare) return compare(cached, versionText(version, compare)) < 0
  // Date.parse takes a number for a year, too.
  if (version instanceof Date) return !cached.endsWith('Z') || Date.parse(cached) < version.getTime()
  if (typeof version === 'bigint' && /^-?\d+$/.test(cached)) return BigInt(cached) < version
  return !(Number(cached) >= Number(version))
}
