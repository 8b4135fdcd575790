import { described, isThenable } from '../core/described.js'
import type { Duration } from '../core/duration.js'
import type { Encryptor } from '../core/encryptor.js'
import { AsyncGenError } from '../core/errors.js'
import type { TransactionFor } from '../core/prisma/client.js'
import type { RowId } from '../core/row-id.js'
import { AttemptFields } from './fields.js'
import type { TargetRecord } from './record-target.js'
import type { IfFailed } from './row.js'
import type { ArgsOf, MethodOf, ResultOf, Targets } from './target-types.js'
import type { WaitOptions } from './wait.js'

/** The transaction to record a call in: if that rolls back, the call never existed. */
export interface WithinTransaction<Client = unknown> {
  tx?: TransactionFor<Client> | undefined
}

/** How a call is recorded. Options that are left out get the defaults of the table. */
export interface RecordOptions<Data = Record<string, unknown>> {
  /** Makes the call unique by target, method and token. Another call with the token returns the existing attempt, with `duplicate` set. */
  idempotenceToken?: string | undefined
  /** Higher runs first. Default: that of the class, which is 10, and 20 through `schedule`. */
  priority?: number | undefined
  /** When to run the call. Default: as soon as the transaction has committed. */
  scheduledAt?: Date | undefined
  /** If no run has begun by then, the attempt expires. Default: it never does. */
  expiresAt?: Date | undefined
  /** The same, as the time after the call is due: `'1 hour'`. */
  expiresAfter?: Duration | undefined
  /** The time limit of each run: `'30s'`. Default: that of the method or the target in targets.ts. */
  timeout?: Duration | undefined
  /** How many runs the attempt gets before it is failed. Default: 25, which takes about 14 hours. */
  maxAttempts?: number | undefined
  /** Encrypts arguments, result and errors. Default: the encryptor of the class. */
  encryptor?: Encryptor | undefined
  /** The parent: an attempt of the same table, or null for none. Default: the attempt that runs where this is called. */
  parent?: AttemptFields | null | undefined
  /**
   * Puts the call off until nobody has asked for it for the time `wait`. A call that waits, of the same target, method and key, gets the
   * arguments and options of the newest. It has the status pending and has not run yet. If it runs already, one more run follows.
   */
  debounce?: DebounceOptions | undefined
  /** If the same call waits, with the same arguments, it is returned, with `duplicate` set. It waits until its first run begins. */
  unique?: 'pending' | undefined
  /**
   * Attempts of the same table, or their ids: the call does not run before they have succeeded. Until then its status is `blocked`. In the
   * call, `Attempt.current().after` has them.
   */
  after?: readonly (AttemptFields | RowId)[] | undefined
  /**
   * What happens if one of those fails, expires, is cancelled or is deleted. `cancel`: the call is cancelled too. `run`: it runs once all have
   * ended. `wait`: it waits until that one was retried and has succeeded. Default: `cancel`.
   */
  ifFailed?: IfFailed | undefined
  /** The batch to which the call is added: what `Attempt.batch` returned, or its id. */
  batch?: BatchReference | RowId | undefined
  /** Values for columns that you have added to the model. */
  data?: (keyof Data extends never ? never : Partial<Data>) | undefined
}

export interface DebounceOptions {
  /** Which calls of the method are the same: up to 500 characters. */
  key: string
  /** How long the call waits for a newer one: `'10s'`. */
  wait: Duration
  /** The longest time after the first call. Default: no limit. */
  atMost?: Duration | undefined
}

/** A batch, as `Attempt.batch` returns it. */
export interface BatchReference {
  readonly id: bigint
  readonly model: string
}

type ValueOf<T> = T[keyof T]

/** A call, with target, method and arguments as the compiler knows them. */
export type CallInput<T extends Targets> = ValueOf<{
  [N in keyof T]: ValueOf<{
    [M in MethodOf<T[N]>]: { target: T[N]; method: M } & ArgsInput<ArgsOf<T[N], M>>
  }>
}>

/** One call of one target: what `create` takes. */
export type CallOf<T, M, Listed extends Targets> = {
  target: T extends ValueOf<Listed> ? T : NotListed
  method: M & MethodOf<T>
} & ArgsInput<ArgsOf<T, M>>

/** `args` may be left out if the method has no parameters. */
type ArgsInput<Args> = Args extends readonly [] ? { args?: Args } : { args: Args }

/** What `async` takes: a target that is listed, or one record of it. */
export type Callee<T extends Targets> = ValueOf<T> | ValueOf<{ [N in keyof T]: TargetRecord<T[N]> }>

/** The compiler's message for a target that is not listed. */
export type NotListed = 'This is not a target: list it in targets.ts'

/** A target whose methods record the call instead of running it. */
export type DeferredTarget<C, Attempt> =
  C extends TargetRecord<infer Target>
    ? { [M in MethodOf<Target>]: (...args: Tail<ArgsOf<Target, M>>) => Promise<AttemptOf<Attempt, Target, M>> }
    : { [M in MethodOf<C>]: (...args: ArgsOf<C, M>) => Promise<AttemptOf<Attempt, C, M>> }

/**
 * An attempt with the type of its result. The type is resolved lazily: a method that records another call of itself would otherwise
 * depend on its own type.
 */
export type AttemptOf<Attempt, Target, Method> = {
  /** What the call returned: undefined until it has succeeded. */
  readonly result: ResultOf<Target, Method> | undefined
  /** Waits for the end of the attempt, and resolves with what the call returned. */
  wait(options?: WaitOptions): Promise<ResultOf<Target, Method>>
  // Children and parents have other calls, so their results have other types.
  children(): Promise<Attempt[]>
  parent(): Promise<Attempt | null>
} & Attempt

type Tail<T> = T extends readonly [unknown, ...infer Rest] ? Rest : []

/** What the runtime sees of a `CallInput`. */
export interface AnyCall extends RecordOptions {
  target: object
  method: string
  args?: unknown[]
}

/** @throws AsyncGenError INVALID_OPTION */
export function requireCall(Attempt: string, call: unknown): void {
  if (Array.isArray(call))
    throw new AsyncGenError(
      'INVALID_OPTION',
      `${Attempt}.create takes one call, and got a list. ${Attempt}.createMany records a list of calls.`,
    )
  requireCallAt(`${Attempt}.create: the call`, call)
}

/** @throws AsyncGenError INVALID_OPTION */
export function requireCalls(what: string, calls: unknown): void {
  if (!Array.isArray(calls))
    throw new AsyncGenError('INVALID_OPTION', `${what} takes a list of calls. It got ${described(calls)}.`)
  for (const [i, call] of calls.entries()) requireCallAt(`${what}: call ${i + 1} of the list`, call)
}

/**
 * @param what where the call was given
 * @throws AsyncGenError INVALID_OPTION
 */
export function requireCallAt(what: string, call: unknown): void {
  const isAttempt = call instanceof AttemptFields
  const isObject = typeof call === 'object' && call !== null && !Array.isArray(call) && !isThenable(call)
  if (isObject && !isAttempt) return
  throw new AsyncGenError(
    'INVALID_OPTION',
    `${what} is ${isAttempt ? 'an attempt, which is recorded already' : described(call)}. It must be an object: { target, method, args }.`,
  )
}
