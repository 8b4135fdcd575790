import { digestOf } from '../core/canonical.js'
import type { Database } from '../core/database.js'
import { type Duration, milliseconds } from '../core/duration.js'
import { AsyncGenError } from '../core/errors.js'
import { refuseUnknownOptions } from '../core/known-options.js'
import { deserialize, MAX_BYTES, serialize } from '../core/serialize.js'
import { type CacheVersion, type CompareVersions, isOlder, versionText } from './cache-version.js'
import { readOrCompute, refreshToast } from './refresh.js'
import { callerOf, nameWithVersion, toastsOf } from './registry.js'
import type { RefreshRequest, ToastRow } from './store.js'

export interface AsyncCachedOptions {
  /** The version of the code: change it when the old values of the function must not be served any more. Default: none. */
  version?: string | number
  /** Compares two versions, if versions are strings: returns less than 0 if `a` is older. */
  compare?: CompareVersions
  /** The maximum size of a value, in bytes of JSON. Default: 8 MB. */
  maxBytes?: number
}

export interface FetchOptions<Args extends unknown[]> {
  /** The arguments of the function, which may be called here or in the worker. */
  arguments?: Args
  /** How long a value is kept. Then it counts as missing. Default: for ever. */
  expiresIn?: Duration
  /** Computes an outdated value at once, instead of returning it while the worker refreshes it. */
  synchronousRegen?: boolean
}

/** A cached function. */
export interface AsyncCached<Args extends unknown[], Result> {
  /** The name under which its entries are stored. */
  readonly cachedName: string
  /** Calls the function itself. Nothing is read or stored. */
  compute(...args: Args): Promise<Result>
  /**
   * The cached value for a locator and a version of the data behind it. A missing value is computed at once, by one caller for all. A
   * value of an older version is returned while the worker computes the new one; if no worker is alive, it is computed at once.
   *
   * @param locator identifies the thing that is cached, and does not change: `thing/7`
   * @param version grows when the thing changes: `thing.updatedAt`, or a number
   * @throws what the function threw, if it was computed at once; UnserializableError for an argument that cannot be stored; AsyncGenError
   * INVALID_VERSION, INVALID_DURATION, UNKNOWN_OPTION
   */
  fetch(
    locator: string,
    version: CacheVersion,
    ...options: [] extends Args ? [FetchOptions<Args>?] : [FetchOptions<Args> & { arguments: Args }]
  ): Promise<Result>
  /** Deletes all entries, of all versions of the code. Returns how many were deleted. */
  clear(): Promise<number>
  /**
   * Removes the waiting refreshes from the queue, of all versions of the code. The entries stay; a `fetch` that finds one outdated requests
   * it again. Returns how many were removed.
   */
  clearRefreshes(): Promise<number>
}

const TASK = 'refresh_toast'
const OPTIONS = ['version', 'compare', 'maxBytes']
const FETCH_OPTIONS = ['arguments', 'expiresIn', 'synchronousRegen']

/**
 * Caches a function. A call computes a missing value, returns an outdated one while a worker refreshes it, and returns a current one.
 *
 * @param name identifies the entries, and the function in the worker: no code is stored in the database
 * @throws AsyncGenError INVALID_CACHED, UNKNOWN_OPTION
 */
export function asyncCached<Args extends unknown[], Result>(
  db: Database,
  name: string,
  compute: (...args: Args) => Result | Promise<Result>,
  options: AsyncCachedOptions = {},
): AsyncCached<Args, Result> {
  refuseUnknownOptions(`The cached function ${name}`, options, OPTIONS)
  if (typeof name !== 'string' || name === '' || typeof compute !== 'function') {
    throw new AsyncGenError(
      'INVALID_CACHED',
      'asyncCached needs a name and a function: asyncCached(db, name, compute).',
    )
  }
  const registry = toastsOf(db)
  const { store } = registry
  const anyWorkers = () => registry.runShared('workers', () => hasWorkers(db))
  const storedName = nameWithVersion(name, options.version)
  registry.register({
    place: callerOf(asyncCached),
    code: String(compute),
    name: storedName,
    baseName: name,
    maxBytes: options.maxBytes ?? MAX_BYTES,
    prepare: async ({ args, wantedVersion }) => {
      return { version: wantedVersion, compute: () => compute(...(deserialize(args) as Args)) }
    },
  })

  const fetch = async (
    locator: string,
    version: CacheVersion,
    options: FetchOptions<Args> = {},
    compare?: CompareVersions,
  ) => {
    refuseUnknownOptions(`fetch of ${name}`, options, FETCH_OPTIONS)
    const args = options.arguments ?? ([] as unknown[])
    const request: RefreshRequest = {
      name: storedName,
      key: entryKeyOf(locator, args),
      task: TASK,
      version: versionText(version, compare),
      args: serialize(args, 'arguments'),
      expiresIn: options.expiresIn === undefined ? undefined : milliseconds(options.expiresIn, `expiresIn of ${name}`),
    }
    const isCurrent = (row: ToastRow) => hasValue(row) && !isOlder(row.version, version, compare)

    const row = await store.read(request)
    const cached = row && hasValue(row) ? { older: !isCurrent(row) } : null
    const { synchronousRegen = false } = options
    switch (await strategy({ cached, synchronousRegen, hasWorkers: anyWorkers })) {
      case 'serve':
        return deserialize(row!.value) as Result
      case 'compute':
        return deserialize((await readOrCompute(db, request, isCurrent, 'never')).value) as Result
      case 'enqueue': {
        // A refresh that is already requested computes the version of that request.
        const { requested = false, wanted_version = null } = row!.refresh ?? {}
        if (!requested || isOlder(wanted_version, version, compare)) await store.request(request, row!.run)
        if (registry.inline) await refreshToast(db, request)
        return deserialize(row!.value) as Result
      }
    }
  }

  return {
    cachedName: name,
    compute: async (...args) => await compute(...args),
    fetch: (locator, version, ...[given]) => fetch(locator, version, given, options.compare),
    clear: () => store.clear(name),
    clearRefreshes: () => store.clearRefreshes(name),
  }
}

interface FetchState {
  /** The entry, and whether its version is older than the requested one; null where there is none. */
  cached: { older: boolean } | null
  synchronousRegen: boolean
  hasWorkers: () => Promise<boolean>
}

/** Decides whether `fetch` computes a value, requests a refresh or returns the cached value. */
export async function strategy({
  cached,
  synchronousRegen,
  hasWorkers,
}: FetchState): Promise<'compute' | 'enqueue' | 'serve'> {
  if (!cached) return 'compute'
  if (!cached.older) return 'serve'
  if (synchronousRegen) return 'compute'
  if (await hasWorkers()) return 'enqueue'
  console.warn('No workers running to handle AsyncCache jobs')
  return 'compute'
}

/** Whether a worker that refreshes cached functions is alive. */
export async function hasWorkers(db: Database): Promise<boolean> {
  return (await db.workers({ task: TASK })).length > 0
}

/** Deletes the entries of all cached functions, with their waiting refreshes. Returns how many were deleted. */
export async function clearCached(db: Database): Promise<number> {
  return await toastsOf(db).store.clearCached()
}

function hasValue({ age }: ToastRow): boolean {
  return age !== null
}

/** The arguments are part of the key: 1 and '1' differ, the order of object keys does not matter. */
function entryKeyOf(locator: string, args: unknown[]): string {
  for (const [i, arg] of args.entries()) serialize(arg, `argument ${i + 1}`)
  const key = args.length === 0 ? locator : `${locator} ${digestOf(args, 'arguments')}`
  return fitsIndex(key) ? key : digestOf([locator, args])
}

/** An index entry may have 2,704 bytes, and also holds the name. */
function fitsIndex(key: string): boolean {
  return Buffer.byteLength(key) <= 1000 && key.isWellFormed() && !key.includes('\0')
}
