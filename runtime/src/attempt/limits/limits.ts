import { AsyncGenError } from '../../core/errors.js'
import { refuseUnknownOptions } from '../../core/known-options.js'
import type { BoundClass } from '../binding.js'
import { isSubclass } from '../subclasses.js'
import { checkedConcurrency, checkedRate, type Limit, type Rate, type WindowRate } from './limit.js'
import type { ChangedLimit, KeyUsage, LimitChange } from './limit-store.js'
import { splitLimitKey, startOfKeys } from './list.js'

/** What `setLimit` changes. A property that is left out stays as it is; null is what `targets.ts` says. */
export interface SetLimitOptions {
  /** The key whose numbers to change. Default: all keys that have no numbers of their own. */
  key?: string | undefined
  /** `Infinity` for any number. */
  concurrency?: number | null | undefined
  rate?: Rate | null | undefined
}

/** The numbers of a limit. */
export interface LimitNumbers {
  /** How many calls of a key may run at the same time; null for any number. */
  concurrency: number | null
  /** How many calls of a key may start in a window of `per` milliseconds; null for any number. */
  rate: WindowRate | null
}

/** A limit in `targets.ts`, with what `setLimit` has changed, and what runs and waits now. */
export interface LimitStatus extends LimitNumbers {
  target: string
  /** Null for all methods of the target. */
  method: string | null
  order: 'strict' | null
  /** Whether `setLimit` has changed its numbers, for all keys that have none of their own. */
  isChanged: boolean
  /** How many calls of all its keys run. */
  running: number
  /** How many calls are due and wait. Calls that are about to begin are among them. */
  waiting: number
  /** The keys that have such calls, those with the most waiting calls first, at most 100. */
  keys: KeyStatus[]
  /** The keys that have numbers of their own. */
  changed: (LimitNumbers & { key: string })[]
}

export interface KeyStatus extends LimitNumbers {
  key: string
  running: number
  waiting: number
  /** Whether no further call may start now. */
  isFull: boolean
  /** When the rate allows the next start; null if the key does not wait for its rate. */
  nextStartAt: Date | null
}

/** How many keys of each limit are listed. */
const MAX_KEYS = 100

/** The largest number of a column of type integer, which stands for any number. */
const UNLIMITED = 2_147_483_647

export async function listLimits({ store, targets }: Pick<BoundClass, 'store' | 'targets'>): Promise<LimitStatus[]> {
  const { limits } = await targets()
  const all = limits.all
  if (all.length === 0) return []
  const [changed, usage] = await Promise.all([store.limits.changed(), store.limits.usage(MAX_KEYS)])
  const changes = new Map(changed.map((each) => [each.limitKey, each]))
  return all.map(({ name, limit }) => statusOf(name, limit, changes, usage))
}

function statusOf(
  name: string,
  limit: Limit,
  changes: ReadonlyMap<string, ChangedLimit>,
  usage: readonly KeyUsage[],
): LimitStatus {
  const common = numbersOf(changes.get(name), { concurrency: limit.concurrency ?? null, rate: limit.rate ?? null })
  const isOwn = ({ limitKey }: { limitKey: string }) => limitKey.startsWith(startOfKeys(name))
  const own = usage.filter(isOwn)
  const keyOf = ({ limitKey }: { limitKey: string }) => splitLimitKey(limitKey).key
  return {
    target: limit.method === undefined ? name : name.slice(0, -limit.method.length - 1),
    method: limit.method ?? null,
    ...shown(common),
    order: limit.isStrict ? 'strict' : null,
    isChanged: isSet(changes.get(name)),
    running: own[0]?.allRunning ?? 0,
    waiting: own[0]?.allWaiting ?? 0,
    keys: own.map((each) => {
      const numbers = numbersOf(changes.get(each.limitKey), common)
      const { running, waiting, nextAt } = each
      const isFull = nextAt !== null || (numbers.concurrency !== null && running >= numbers.concurrency)
      return {
        key: keyOf(each),
        running,
        waiting,
        isFull,
        nextStartAt: nextAt === null ? null : new Date(nextAt),
        ...shown(numbers),
      }
    }),
    changed: [...changes.values()]
      .filter((each) => isOwn(each) && isSet(each))
      .map((each) => ({ key: keyOf(each), ...shown(numbersOf(each, common)) })),
  }
}

/** Numbers that were set back to those of `targets.ts` are null. */
function isSet(changed: ChangedLimit | undefined): boolean {
  return changed !== undefined && (changed.concurrency !== null || changed.rateLimit !== null)
}

function numbersOf(changed: ChangedLimit | undefined, { concurrency, rate }: LimitNumbers): LimitNumbers {
  return {
    concurrency: changed?.concurrency ?? concurrency,
    rate: changed && changed.rateLimit !== null ? { limit: changed.rateLimit, per: changed.rateMs! } : rate,
  }
}

function shown({ concurrency, rate }: LimitNumbers): LimitNumbers {
  return { concurrency: concurrency === UNLIMITED ? null : concurrency, rate }
}

/** @throws UnknownTargetError; AsyncGenError INVALID_OPTION, UNKNOWN_OPTION, INVALID_DURATION */
export async function setLimit(
  Attempt: BoundClass,
  target: object | string,
  options: SetLimitOptions & { method?: string | undefined },
): Promise<void> {
  if (isSubclass(Attempt))
    throw new AsyncGenError(
      'INVALID_OPTION',
      `${Attempt.name}.setLimit: a limit is for all attempts of the model ${Attempt.model}. Call it on the class of the model.`,
    )
  refuseUnknownOptions('setLimit', options, ['method', 'key', 'concurrency', 'rate'])
  const { method, key, concurrency, rate } = options
  if (concurrency === undefined && rate === undefined)
    throw new AsyncGenError('INVALID_OPTION', 'setLimit: give at least one of concurrency and rate.')
  const targets = await Attempt.targets()
  const of = typeof target === 'string' ? target : targets.nameOf(target)
  targets.find(of)
  const name = method === undefined ? of : `${of}.${method}`
  const { all } = targets.limits
  const known = all.map((each) => each.name)
  if (!known.includes(name))
    throw new AsyncGenError(
      'INVALID_OPTION',
      `setLimit: targets.ts has no limit of ${name}. It has: ${known.join(', ') || 'none'}.`,
    )
  if (key !== undefined && typeof key !== 'string')
    throw new AsyncGenError('INVALID_OPTION', `setLimit: key is ${String(key)}. It must be a text.`)
  const change: LimitChange = {
    concurrency: concurrency === Number.POSITIVE_INFINITY ? UNLIMITED : concurrency && checkedConcurrency(concurrency),
    rate: rate && checkedRate(rate),
  }
  if (concurrency === 0) checkedConcurrency(concurrency)
  await Attempt.store.limits.set(key === undefined ? name : `${startOfKeys(name)}${key}`, key !== undefined, change)
}
