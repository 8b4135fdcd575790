import type { Duration } from '../core/duration.js'
import type { TransactionLike } from '../core/prisma/client.js'
import type { ToastComputation } from './registered-toast.js'
import type { ToastPlaceholder, ToastResult } from './result.js'
import type { StalenessOptions } from './staleness.js'

/** How a toast is computed and when it counts as stale. */
export interface ToastOptions<Parent, Result, Placeholder = ToastPlaceholder, Loaded = Parent, Id = never>
  extends ComputeOptions<Result, Placeholder, Loaded, Id>,
    StalenessOptions<Parent> {}

/** The options of a toast without `expireIf`, whose type depends on the parent. */
export interface ComputeOptions<Result, Placeholder, Loaded, Id> {
  /**
   * How the worker loads the parent; it may include relations. `compute` receives the result, so write `load` above `compute`
   * to have its type inferred. Default: the model's record with that key.
   */
  load?: (id: Id) => Promise<Loaded | null>
  /** The slow method. If it throws, the old value stays and the refresh is tried again. */
  compute: (parent: Loaded, computation: ToastComputation) => Result | Promise<Result>
  /** What a read returns while there is no value yet. Default: `{ error: 'Data not yet available' }`. */
  placeholder?: Placeholder
  /** How old a stale value may be and still be served. A read treats an older one as missing. Default: any age. */
  maxStale?: Duration
  /** A value older than this is stale. */
  expireIn?: Duration
  /** The version of the code: change it when the old values of `compute` must not be served any more. Default: none. */
  version?: string | number
  /** The maximum size of a value, in bytes of JSON. Default: 8 MB. */
  maxBytes?: number
}

/** How a toast is read. */
export interface ReadOptions {
  /** How long to wait for the first value. Default: not at all. */
  wait?: Duration
  /** A transaction of your PrismaClient. A refresh that is requested in it happens only if it commits. */
  tx?: TransactionLike
}

/** A cached method: a read returns the cached value at once, and a worker computes what is missing or stale. */
export interface Toast<Parent, Result, Placeholder = ToastPlaceholder, Loaded = Parent> {
  (parent: Parent, options?: ReadOptions): Promise<ToastResult<Result, Placeholder>>
  /** The name under which its rows are stored: `oat.breakfast`. */
  readonly toastName: string
  /** The key under which a parent's row is stored, as SQL writes it: `to_jsonb("id")::text`. */
  keyOf(parent: Parent): string
  /** Calls the slow method itself. Nothing is read or stored. */
  compute(parent: Loaded, computation?: ToastComputation): Promise<Result>
  /** Reads the toasts of many parents with one query, and at most one statement that requests refreshes. */
  many(parents: readonly Parent[], options?: ReadOptions): Promise<ToastResult<Result, Placeholder>[]>
  /**
   * Returns a value that is not stale. Computes it if necessary, or waits for the process that is computing it.
   * @throws what `compute` threw
   */
  fresh(parent: Parent): Promise<ToastResult<Result, never>>
  /** Returns what is cached, without requesting a refresh. */
  peek(parent: Parent): Promise<ToastResult<Result, Placeholder>>
  /** Whether there is no value, or a stale one. */
  isStale(parent: Parent): Promise<boolean>
  /** Makes the value stale and requests a refresh: with `tx`, only if that transaction commits. */
  expire(parent: Parent, options?: Pick<ReadOptions, 'tx'>): Promise<void>
}
