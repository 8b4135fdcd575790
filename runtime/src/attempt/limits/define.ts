import type { ArgsOf, MethodOf } from '../target-types.js'
import { Limit, type LimitOptions } from './limit.js'

/**
 * Limits the calls of a target, or of one of its methods, for each key. List it in `defineTargets`:
 *
 *     defineTargets({ Shopify }, { limits: [limit(Shopify, { key: (shop) => shop, concurrency: 2 })] })
 *
 * A limit of a method counts before that of its target. `setLimit` changes the numbers while workers run.
 *
 * @throws AsyncGenError INVALID_OPTION, UNKNOWN_OPTION, INVALID_DURATION
 */
export function limit<const T extends object, const M extends MethodOf<T> = MethodOf<T>>(
  target: T,
  options: { method?: M } & LimitOptions<ArgsOf<T, M>>,
): Limit {
  return new Limit(target, options as never)
}
