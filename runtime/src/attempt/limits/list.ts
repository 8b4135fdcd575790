import type { Limit } from './limit.js'

/** The limit of a method, with the name under which rows and `async_limits` have it. */
export interface NamedLimit {
  /** The name of the target, or of the target and the method: `Shopify`, `Shopify.push`. */
  name: string
  limit: Limit
}

/** The end of the name in a value of the column `limit_key`: `Shopify:acme`. */
const SEPARATOR = ':'

/** A value of the column `limit_key`: the name of the limit, and the key of the call. */
export function limitKey({ name, limit }: NamedLimit, path: string, args: readonly unknown[]): string {
  return `${startOfKeys(name)}${limit.keyOf(path, args)}`
}

/** How the values of the column `limit_key` begin for a limit. */
export function startOfKeys(name: string): string {
  return `${name}${SEPARATOR}`
}

/** The name of the limit and the key in a value of the column `limit_key`. */
export function splitLimitKey(limitKey: string): { name: string; key: string } {
  const end = limitKey.indexOf(SEPARATOR)
  return { name: limitKey.slice(0, end), key: limitKey.slice(end + 1) }
}

/** All limits of `targets.ts`. */
export class LimitList {
  readonly #byName: ReadonlyMap<string, Limit>
  readonly #byPath: ReadonlyMap<string, NamedLimit>

  /** @param byPath the limit of each method that has one, by all names that rows may have for it */
  constructor(byName: ReadonlyMap<string, Limit>, byPath: ReadonlyMap<string, NamedLimit>) {
    this.#byName = byName
    this.#byPath = byPath
  }

  /** The paths of all methods that have a limit, also the older ones: `Shopify.push`. */
  get paths(): string[] {
    return [...this.#byPath.keys()]
  }

  get all(): NamedLimit[] {
    return [...this.#byName].map(([name, limit]) => ({ name, limit }))
  }

  of({ target, method }: { target: string; method: string }): NamedLimit | undefined {
    return this.#byPath.get(`${target}.${method}`)
  }

  /** The limit in a value of the column `limit_key`; undefined if it is not listed any more. */
  ofKey(limitKey: string): Limit | undefined {
    return this.#byName.get(splitLimitKey(limitKey).name)
  }
}
