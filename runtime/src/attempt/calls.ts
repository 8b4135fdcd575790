import type { Encryptor } from '../core/encryptor.js'
import type { TransactionFor } from '../core/prisma/client.js'
import type { AttemptRecord } from './attempt.js'
import type { ArgsOf, MethodOf, ResultOf, TargetRecord, Targets } from './targets.js'
import type { WaitOptions } from './wait.js'

/** The transaction to record a call in: if that rolls back, the call never existed. */
export interface WithinTransaction<Client = unknown> {
  tx?: TransactionFor<Client> | undefined
}

/** How a call is recorded; what is left out gets the table's defaults. */
export interface RecordOptions<Data = Record<string, unknown>> {
  /** One call for each token: a second one returns the attempt that exists, with `duplicate` set. */
  idempotenceToken?: string | undefined
  /** Higher runs first. Default: that of the class, which is 10, and 20 through `schedule`. */
  priority?: number | undefined
  /** When to make the call. Default: as soon as the transaction has committed. */
  scheduledAt?: Date | undefined
  /** After how many failed runs the attempt counts as failed. Default: 25, which takes some 14 hours. */
  maxAttempts?: number | undefined
  /** Encrypts arguments, result and errors. Default: the encryptor of the class. */
  encryptor?: Encryptor | undefined
  /** The attempt that this one belongs to, of the same table; null for none. Default: the one that runs where this is called. */
  parent?: AttemptRecord | null | undefined
  /** Values for columns that you have added to the model. */
  data?: (keyof Data extends never ? never : Partial<Data>) | undefined
}

type ValueOf<T> = T[keyof T]

/** A call, with target, method and arguments as the compiler knows them. */
export type CallInput<T extends Targets> = ValueOf<{
  [N in keyof T]: ValueOf<{
    [M in MethodOf<T[N]>]: { target: T[N]; method: M } & ArgsInput<ArgsOf<T[N], M>>
  }>
}>

/** One call of one target: what `create` takes. */
export type Call<T, M, Listed extends Targets> = {
  target: T extends ValueOf<Listed> ? T : NotListed
  method: M & MethodOf<T>
} & ArgsInput<ArgsOf<T, M>>

/** Arguments may be left out where there are none. */
type ArgsInput<Args> = Args extends readonly [] ? { args?: Args } : { args: Args }

/** What `async` takes: a target that is listed, or one record of it. */
export type Callee<T extends Targets> = ValueOf<T> | ValueOf<{ [N in keyof T]: TargetRecord<T[N]> }>

/** What the compiler says of a target that is not listed. */
export type NotListed = 'This is not a target: list it in targets.ts'

/** A target whose methods record the call instead of making it. */
export type Deferred<C, Attempt> =
  C extends TargetRecord<infer Target>
    ? { [M in MethodOf<Target>]: (...args: Tail<ArgsOf<Target, M>>) => Promise<AttemptOf<Attempt, Target, M>> }
    : { [M in MethodOf<C>]: (...args: ArgsOf<C, M>) => Promise<AttemptOf<Attempt, C, M>> }

/**
 * An attempt of which the compiler knows what its call returns. The type is looked up where it is asked for, as a method that records
 * another call of itself would have to know its own type.
 */
export type AttemptOf<Attempt, Target, Method> = {
  /** What the call returned: undefined until it has succeeded. */
  readonly result: ResultOf<Target, Method> | undefined
  /** Waits for the end of the attempt, and resolves with what the call returned. */
  wait(options?: WaitOptions): Promise<ResultOf<Target, Method>>
  // Their calls are others.
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
