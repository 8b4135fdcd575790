import type { Callable, Methods, RecordTarget } from './record-target.js'
import type { Snooze } from './snooze.js'

/** A class with static methods, an object of functions, or the records of a model. */
export type Target = object

export type Targets = Record<string, Target>

/** The names of what can be called on a target. */
export type MethodOf<T> = {
  [K in keyof MethodsOf<T>]: MethodsOf<T>[K] extends Callable ? K : never
}[keyof MethodsOf<T>] &
  string

/** The arguments with which a call of a target's method is stored; for the records of a model, the id comes first. */
export type ArgsOf<T, M> = M extends keyof MethodsOf<T>
  ? MethodsOf<T>[M] extends (...args: infer Args) => unknown
    ? T extends RecordTarget<infer Record, infer Id, Methods>
      ? Args extends [Record, ...infer Rest]
        ? [id: Id, ...rest: Rest]
        : never
      : Args
    : never
  : never

/** What a call of a target's method resolves with, as it is stored and read again. A snooze is no result. */
export type ResultOf<T, M> = M extends keyof MethodsOf<T>
  ? MethodsOf<T>[M] extends (...args: never[]) => infer Result
    ? Exclude<Awaited<Result>, Snooze>
    : never
  : never

type MethodsOf<T> = T extends RecordTarget<infer _Record, infer _Id, infer M> ? M : T

/** The path of a method, as a row names it: `OrderClient.fulfill`. */
export type PathIn<T extends Targets> = { [N in keyof T & string]: `${N}.${MethodOf<T[N]>}` }[keyof T & string]

/** The stored arguments of the method with a path. */
export type ArgsAt<T extends Targets, Path> = Path extends `${infer N}.${infer M}`
  ? N extends keyof T
    ? ArgsOf<T[N], M>
    : never
  : never
