import { type Duration, milliseconds } from '../../core/duration.js'
import { AsyncGenError } from '../../core/errors.js'
import { refuseUnknownOptions } from '../../core/known-options.js'
import type { Callable } from '../record-target.js'

/** How many calls of a key may start in any window of that length: `{ limit: 40, per: '1 minute' }`. */
export interface Rate {
  limit: number
  per: Duration
}

/** A rate whose window is in milliseconds. */
export interface WindowRate {
  limit: number
  per: number
}

export interface LimitOptions<Args extends readonly unknown[] = never[]> {
  /** Which calls share the limit: those with the same text. It gets the arguments of the call. Default: all calls share it. */
  key?: (...args: KeyArgs<Args>) => string
  /** How many calls of a key may run at the same time. Default: any number; with `order: 'strict'`, one. */
  concurrency?: number
  /** How many calls of a key may start in any window. */
  rate?: Rate
  /** `strict`: calls of a key start in the order in which they were recorded, and one that is retried holds back those after it. */
  order?: 'strict'
}

/** What `key` gets: the arguments of the method. If the methods of the target have different ones, it gets those that any of them has. */
export type KeyArgs<Args extends readonly unknown[]> = [
  Arg<Args, '0'>,
  Arg<Args, '1'>,
  Arg<Args, '2'>,
  Arg<Args, '3'>,
  Arg<Args, '4'>,
  Arg<Args, '5'>,
  Arg<Args, '6'>,
  Arg<Args, '7'>,
]

type Arg<Args, I> = Args extends readonly unknown[]
  ? I extends keyof Args
    ? Args[I]
    : number extends Args['length']
      ? Args[number] | undefined
      : undefined
  : never

/** The largest number of a column of type integer. */
const LAST_INTEGER = 2_147_483_647

/** The longest key, in bytes. Longer ones do not fit into an index. */
const MAX_KEY_LENGTH = 500

/** A limit as `targets.ts` declares it: see `limit`. */
export class Limit {
  readonly target: object
  /** Undefined for all methods of the target. */
  readonly method: string | undefined
  readonly concurrency: number | undefined
  readonly rate: WindowRate | undefined
  readonly isStrict: boolean
  readonly #key: Callable | undefined

  /** @throws AsyncGenError INVALID_OPTION, UNKNOWN_OPTION, INVALID_DURATION */
  constructor(target: object, options: LimitOptions & { method?: string | undefined }) {
    refuseUnknownOptions('limit', options, ['method', 'key', 'concurrency', 'rate', 'order'])
    const { method, key, concurrency, rate, order } = options
    if (key !== undefined && typeof key !== 'function')
      throw invalidOption('key', key, 'a function that gets the arguments of a call and returns a text')
    if (order !== undefined && order !== 'strict') throw invalidOption('order', order, "'strict', or left out")
    if (concurrency === undefined && rate === undefined && order === undefined)
      throw new AsyncGenError('INVALID_OPTION', 'limit: give at least one of concurrency, rate and order.')
    this.target = target
    this.method = method
    this.concurrency = concurrency === undefined ? order && 1 : checkedConcurrency(concurrency)
    this.rate = rate && checkedRate(rate)
    this.isStrict = order === 'strict'
    this.#key = key as Callable | undefined
  }

  /**
   * The key of a call.
   * @param path the target and the method, for the message
   * @throws AsyncGenError INVALID_LIMIT_KEY
   */
  keyOf(path: string, args: readonly unknown[]): string {
    if (!this.#key) return ''
    let key: unknown
    try {
      key = this.#key(...args)
    } catch (error) {
      const { message = String(error) } = (error ?? {}) as Partial<Error>
      throw invalidKey(path, `its function \`key\` threw: ${message}`, error)
    }
    if (typeof key !== 'string')
      throw invalidKey(path, `its function \`key\` returned ${describe(key)}, which is no text`)
    if (Buffer.byteLength(key) > MAX_KEY_LENGTH)
      throw invalidKey(path, `the key ${JSON.stringify(key.slice(0, 50))}… has more than ${MAX_KEY_LENGTH} bytes`)
    if (key.includes('\0') || !key.isWellFormed())
      throw invalidKey(path, `the key ${JSON.stringify(key)} has characters that PostgreSQL cannot store`)
    return key
  }
}

/** @throws AsyncGenError INVALID_OPTION */
export function checkedConcurrency(concurrency: number): number {
  if (Number.isInteger(concurrency) && concurrency > 0 && concurrency <= LAST_INTEGER) return concurrency
  throw invalidOption('concurrency', concurrency, 'a whole number from 1')
}

/** @throws AsyncGenError INVALID_OPTION, INVALID_DURATION */
export function checkedRate(rate: Rate): WindowRate {
  if (typeof rate !== 'object' || rate === null)
    throw invalidOption('rate', rate, "an object: { limit: 40, per: '1 minute' }")
  refuseUnknownOptions('rate', rate, ['limit', 'per'])
  const { limit } = rate
  if (!(Number.isInteger(limit) && limit > 0 && limit <= LAST_INTEGER))
    throw invalidOption('rate.limit', limit, 'a whole number from 1')
  const per = milliseconds(rate.per, 'rate.per')
  if (per >= 1 && per <= LONGEST_WINDOW) return { limit, per }
  throw invalidOption('rate.per', rate.per, 'from 1 ms to one year')
}

/** The longest window of a rate, in milliseconds. */
const LONGEST_WINDOW = 366 * 86_400_000

function invalidOption(option: string, value: unknown, wanted: string): AsyncGenError {
  return new AsyncGenError('INVALID_OPTION', `limit: ${option} is ${describe(value)}. It must be ${wanted}.`)
}

function invalidKey(path: string, why: string, cause?: unknown): AsyncGenError {
  return new AsyncGenError(
    'INVALID_LIMIT_KEY',
    `The limit of ${path} in targets.ts has no key for this call: ${why}.`,
    cause === undefined ? undefined : { cause },
  )
}

function describe(value: unknown): string {
  return typeof value === 'object' && value !== null ? Object.prototype.toString.call(value) : String(value)
}
