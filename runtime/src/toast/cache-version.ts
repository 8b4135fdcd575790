import { AsyncGenError } from '../core/errors.js'

/** The version of the data behind a cached value: a number that grows, or a time. Strings need the option `compare`. */
export type CacheVersion = number | bigint | Date | string

/** Returns less than 0 if `a` is older than `b`, more than 0 if it is newer. */
export type CompareVersions = (a: string, b: string) => number

/**
 * A version as it is stored: digits, ISO 8601, or the string itself.
 *
 * @throws AsyncGenError INVALID_VERSION for a string without `compare`, NaN, an infinity or an invalid Date
 */
export function versionText(version: CacheVersion, compare?: CompareVersions): string {
  if (typeof version === 'string') {
    if (compare) return version
    throw new AsyncGenError(
      'INVALID_VERSION',
      `The version ${JSON.stringify(version)} is a string, so it is unknown which of two versions is newer. ` +
        'Pass a number or a Date, or give asyncCached the option `compare`.',
    )
  }
  if (typeof version !== 'bigint' && !Number.isFinite(version.valueOf())) {
    throw new AsyncGenError(
      'INVALID_VERSION',
      `${version} is not a valid version. Pass a finite number or a valid Date.`,
    )
  }
  return version instanceof Date ? version.toISOString() : String(version)
}

/** Whether a stored version is older than another one. */
export function isOlder(cached: string | null, version: CacheVersion, compare?: CompareVersions): boolean {
  if (cached === null) return true
  if (compare) return compare(cached, versionText(version, compare)) < 0
  // A stored number is older than any Date. Date.parse would read it as a year.
  if (version instanceof Date) return !cached.endsWith('Z') || Date.parse(cached) < version.getTime()
  if (typeof version === 'bigint' && /^-?\d+$/.test(cached)) return BigInt(cached) < version
  return !(Number(cached) >= Number(version))
}
