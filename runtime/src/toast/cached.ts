import { digestOf } from '../core/canonical.js'
import type { Database } from '../core/database.js'
import { type Duration, milliseconds } from '../core/duration.js'
import { AsyncGenError } from '../core/errors.js'
import { deserialize, MAX_BYTES, serialize } from '../core/serialize.js'
import { obtain, refreshToast } from './refresh.js'
import { callerOf, nameWithVersion, refuseUnknownOptions, toastsOf } from './registry.js'
import type { Request, ToastRow } from './store.js'
import { type CompareVersions, isOlder, type Version, versionText } from './version.js'

export interface AsyncCachedOptions {
  /** Change it when the function changes so much that what it cached must not be served. Default: none. */
  version?: string | number
  /** Which of two versions is the newer one, where versions are texts: less than 0 if `a` is older. */
  compare?: CompareVersions
  /** How large a value may be, as JSON. Default: 8 MB. */
  maxBytes?: number
}

export interface FetchOptions<Args extends unknown[]> {
  /** What the function is called with, here or in the worker. */
  arguments?: Args
  /** How long a value is kept; after that it counts as none. Default: for ever. */
  expiresIn?: Duration
  /** Compute an outdated value now, in place of serving it while the worker refreshes it. */
  synchronousRegen?: boolean
}

/** A cached function. */
export interface AsyncCached<Args extends unknown[], Result> {
  /** The name under which its entries are stored. */
  readonly cachedName: string
  /** The function itself; nothing is read or stored. */
  compute(...args: Args): Promise<Result>
  /**
   * The cached value for a locator and a version of the data behind it. Nothing there: it is computed at once, one caller
   * computing for all. An older version: it is served while the worker computes the new one, or computed at once where no
   * worker is alive.
   *
   * @param locator constant for one thing: `thing/7`
   * @param version grows when the thing changes: `thing.updatedAt`, or a number
   * @throws what the function threw, where it was computed at once; UnserializableError for arguments that are no plain data
   */
  fetch(
    locator: string,
    version: Version,
    ...options: [] extends Args ? [FetchOptions<Args>?] : [FetchOptions<Args> & { arguments: Args }]
  ): Promise<Result>
  /** Removes all entries, of all versions of the code. Returns how many there were. */
  clear(): Promise<number>
  /**
   * Takes the refreshes that wait out of the queue, of all versions of the code. The entries stay; a `fetch` that finds one outdated
   * asks again. Returns how many there were.
   */
  clearRefreshes(): Promise<number>
}

const TASK = 'refresh_toast'
const OPTIONS = ['version', 'compare', 'maxBytes']
const FETCH_OPTIONS = ['arguments', 'expiresIn', 'synchronousRegen']

/**
 * Makes a function a cached one: computed when there is nothing, stale while a worker refreshes it, current otherwise.
 *
 * @param name where its entries are stored, and how the worker finds the function: no code goes through the database
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
  const anyWorkers = () => registry.share('workers', () => hasWorkers(db))
  const storedName = nameWithVersion(name, options.version)
  registry.define({
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
    version: Version,
    options: FetchOptions<Args> = {},
    compare?: CompareVersions,
  ) => {
    refuseUnknownOptions(`fetch of ${name}`, options, FETCH_OPTIONS)
    const args = options.arguments ?? ([] as unknown[])
    const request: Request = {
      name: storedName,
      key: keyOf(locator, args),
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
        return deserialize((await obtain(db, request, isCurrent, 'never')).value) as Result
      case 'enqueue': {
        // One that is wanted already computes the version that was asked for then.
        const { wanted = false, wanted_version = null } = row!.refresh ?? {}
        if (!wanted || isOlder(wanted_version, version, compare)) await store.request(request, row!.run)
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

interface Situation {
  /** What there is, and whether the version asked for is newer than it. */
  cached: { older: boolean } | null
  synchronousRegen: boolean
  hasWorkers: () => Promise<boolean>
}

/** What a fetch does. */
export async function strategy({
  cached,
  synchronousRegen,
  hasWorkers,
}: Situation): Promise<'compute' | 'enqueue' | 'serve'> {
  if (!cached) return 'compute'
  if (!cached.older) return 'serve'
  if (synchronousRegen) return 'compute'
  if (await hasWorkers()) return 'enqueue'
  console.warn('No workers running to handle AsyncCache jobs')
  return 'compute'
}

/** Whether a worker is alive that refreshes what functions have cached. */
export async function hasWorkers(db: Database): Promise<boolean> {
  return (await db.workers({ task: TASK })).length > 0
}

/** Removes what all functions have cached, and with it the refreshes that wait. Returns how many entries there were. */
export async function clearCached(db: Database): Promise<number> {
  return await toastsOf(db).store.clearCached()
}

function hasValue({ age }: ToastRow): boolean {
  return age !== null
}

/** The arguments are part of what an entry is: 1 and '1' differ, the order of keys does not matter. */
function keyOf(locator: string, args: unknown[]): string {
  for (const [i, arg] of args.entries()) serialize(arg, `argument ${i + 1}`)
  const key = args.length === 0 ? locator : `${locator} ${digestOf(args, 'arguments')}`
  return fitsIndex(key) ? key : digestOf([locator, args])
}

/** An entry of an index takes 2,704 bytes, and with the key comes the name. */
function fitsIndex(key: string): boolean {
  return Buffer.byteLength(key) <= 1000 && key.isWellFormed() && !key.includes('\0')
}
