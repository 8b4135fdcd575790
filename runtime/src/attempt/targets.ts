import { described, isThenable } from '../core/described.js'
import type { Duration } from '../core/duration.js'
import { AsyncGenError, isInstance, UnknownTargetError } from '../core/errors.js'
import { refuseUnknownOptions } from '../core/known-options.js'
import { type ArgumentSchemas, requireSchemas } from './arguments.js'
import { Limit } from './limits/limit.js'
import { LimitList, type NamedLimit } from './limits/list.js'
import { ownMethod, ownMethodsOf, splitPath } from './own-methods.js'
import type { Callable } from './record-target.js'
import type { ArgsAt, PathIn, Target, Targets } from './target-types.js'
import { timeLimit } from './timeout-option.js'

export interface TargetOptions<T extends Targets> {
  /** Old paths of methods that were renamed or moved, so that rows in flight survive: `{ 'OrderClient.send': 'OrderClient.fulfill' }`. */
  renamed?: Record<string, PathIn<T>>
  /**
   * The time limits of runs, for all methods of a target or for one: `{ OrderClient: '1 minute', 'OrderClient.fulfill': '10s' }`. That of
   * a method counts before that of its target, and the `timeout` of a call before both. Default: none.
   */
  timeouts?: { [Name in PathIn<T> | (keyof T & string)]?: Duration }
  /**
   * Schemas of arguments, one for each argument, of zod, valibot, arktype or another library with the Standard Schema interface:
   * `{ 'OrderClient.fulfill': [z.object({ orderNumber: z.number() })] }`. Arguments are checked when a call is recorded and before it
   * runs. The method gets what the schemas return.
   */
  schemas?: { [Path in PathIn<T>]?: ArgumentSchemas<ArgsAt<T, Path>> }
  /**
   * Limits per key, each made by `limit`: `[limit(Shopify, { key: (shop) => shop, concurrency: 2 })]`. A function is called when the targets
   * are first needed.
   */
  limits?: readonly Limit[] | (() => readonly Limit[])
  /** Classes that extend a class of attempts, by the names that their rows remember: `{ UrgentAttempt }`. */
  subclasses?: Record<string, object>
}

/**
 * Lists all that an attempt may call, by the names that rows remember. Given as a function, the list is evaluated when the
 * first call is recorded or runs.
 */
export function defineTargets<T extends Targets>(targets: T, options?: TargetOptions<NoInfer<T>>): TargetList<T>
export function defineTargets<T extends Targets>(define: () => T, options?: TargetOptions<NoInfer<T>>): TargetList<T>
export function defineTargets<T extends Targets>(
  targets: T | (() => T),
  options: TargetOptions<T> = {},
): TargetList<T> {
  if (typeof targets === 'function') return new TargetList(targets as () => T, options)
  const list = new TargetList(() => targets, options)
  list.check()
  return list
}

/** All that an attempt may call: own functions of what is listed, and nothing else. */
export class TargetList<T extends Targets = Targets> {
  readonly #define: () => T
  readonly #renamed: Record<string, string>
  readonly #subclasses: Record<string, object>
  readonly #timeouts: Record<string, Duration | undefined>
  readonly #schemas: Record<string, ArgumentSchemas<unknown[]> | undefined>
  readonly #declaredLimits: readonly Limit[] | (() => readonly Limit[])
  #limits: LimitList | undefined
  #targets: T | undefined
  readonly #resolved = new Map<string, Callable>()
  readonly #settings = new Map<string, MethodSettings>()

  constructor(define: () => T, options: TargetOptions<T>) {
    const { renamed = {}, subclasses = {}, timeouts = {}, schemas = {}, limits = [] } = options
    refuseUnknownOptions('defineTargets', options, ['renamed', 'subclasses', 'timeouts', 'schemas', 'limits'])
    this.#define = define
    this.#renamed = renamed
    this.#subclasses = subclasses
    this.#timeouts = timeouts
    this.#schemas = schemas
    this.#declaredLimits = limits
  }

  /** The listed class for the type of a row, if it is `Attempt` or extends it. */
  subclassOf(Attempt: Class, type: string): object | undefined {
    const listed = Object.hasOwn(this.#subclasses, type) ? this.#subclasses[type] : undefined
    return listed && extendsOrIs(listed, Attempt) ? listed : undefined
  }

  /** The name under which a subclass is listed. */
  typeOf(Attempt: Class): string | undefined {
    return Object.entries(this.#subclasses).find(([, listed]) => listed === Attempt)?.[0]
  }

  /** The names of a subclass and of all that extend it. */
  typesOf(Attempt: Class): string[] {
    const entries = Object.entries(this.#subclasses)
    return entries.filter(([, listed]) => extendsOrIs(listed, Attempt)).map(([name]) => name)
  }

  /** @throws AsyncGenError where something is listed that cannot be called */
  check(): void {
    for (const [name, target] of Object.entries(this.#all)) {
      if ((typeof target === 'object' || typeof target === 'function') && target !== null) continue
      throw new AsyncGenError(
        'INVALID_TARGET',
        `The target ${name} is ${target === null ? 'null' : `a ${typeof target}`}. A target is a class with static methods, an object of functions, or recordTarget(…).`,
      )
    }
    for (const path of Object.values(this.#renamed)) this.#find(path)
    for (const path of Object.keys(this.#schemas)) {
      this.#find(path)
      this.#schemasOf(path)
    }
    for (const [name, timeout] of Object.entries(this.#timeouts)) {
      if (name.includes('.')) this.#find(name)
      else this.find(name)
      if (timeout !== undefined) timeLimit(timeout, `timeouts[${JSON.stringify(name)}]`)
    }
    void this.limits
  }

  /**
   * The limits per key.
   * @throws UnknownTargetError, AsyncGenError INVALID_OPTION for a limit that is not about a listed target
   */
  get limits(): LimitList {
    this.#limits ??= this.#readLimits()
    return this.#limits
  }

  /** The name under which a target is listed. */
  nameOf(target: Target): string {
    const entry = Object.entries(this.#all).find(([, listed]) => listed === target)
    if (entry) return entry[0]
    const given: unknown = target
    if ((typeof given !== 'object' && typeof given !== 'function') || given === null || isThenable(given))
      throw new UnknownTargetError(
        `The target is ${described(given)}. Pass the target itself, as targets.ts lists it. ${this.#listed}`,
      )
    const what = typeof given === 'function' && given.name ? given.name : 'The object that you passed'
    throw new UnknownTargetError(`${what} is not a target. List it in defineTargets (targets.ts). ${this.#listed}`)
  }

  /**
   * The target that is listed under a name.
   * @throws UnknownTargetError that says what there is
   */
  find(name: string): Target {
    const target = Object.hasOwn(this.#all, name) ? this.#all[name] : undefined
    if (!target) throw new UnknownTargetError(`No target is called ${JSON.stringify(name)}. ${this.#listed}`)
    return target
  }

  /** Whether an object is listed. */
  has(target: Target): boolean {
    return Object.values(this.#all).includes(target)
  }

  /** The names of all methods, by the names of their targets, also the older names in `renamed`: those that rows may have. */
  names(): Map<string, string[]> {
    const names = new Map<string, string[]>()
    for (const [name, target] of Object.entries(this.#all)) names.set(name, ownMethodsOf(target))
    for (const [target, method] of Object.keys(this.#renamed).map(splitPath))
      names.set(target, [...(names.get(target) ?? []), method])
    return names
  }

  /** The older names of a target's methods, or of one: rows that were recorded under them call it too. */
  oldPathsOf(target: string, method?: string): { target: string; method: string }[] {
    return Object.entries(this.#renamed).flatMap(([old, path]) => {
      const [name, renamed] = splitPath(path)
      if (name !== target || (method !== undefined && renamed !== method)) return []
      const [oldName, oldMethod] = splitPath(old)
      return [{ target: oldName, method: oldMethod }]
    })
  }

  /**
   * The function that a row names.
   * @throws UnknownTargetError that says what there is
   */
  resolve(target: string, method: string): Callable {
    const path = `${target}.${method}`
    let callable = this.#resolved.get(path)
    if (!callable) {
      callable = this.#find(this.#currentPath(path))
      this.#resolved.set(path, callable)
    }
    return callable
  }

  /** The path of the method that a row names, after renames: `OrderClient.fulfill`. */
  pathOf(target: string, method: string): string {
    return this.#currentPath(`${target}.${method}`)
  }

  /** What targets.ts says about the method that a row names. */
  settingsOf(target: string, method: string): MethodSettings {
    const path = `${target}.${method}`
    let settings = this.#settings.get(path)
    if (!settings) {
      settings = this.#readSettings(this.#currentPath(path))
      this.#settings.set(path, settings)
    }
    return settings
  }

  /** The path of a method that was renamed, or the path itself. */
  #currentPath(path: string): string {
    return Object.hasOwn(this.#renamed, path) ? this.#renamed[path]! : path
  }

  #readSettings(path: string): MethodSettings {
    const own = Object.hasOwn(this.#timeouts, path) ? path : path.slice(0, path.indexOf('.'))
    const timeout = Object.hasOwn(this.#timeouts, own) ? this.#timeouts[own] : undefined
    return {
      path,
      timeout: timeout === undefined ? undefined : timeLimit(timeout, `timeouts[${JSON.stringify(own)}]`),
      schemas: this.#schemasOf(path),
      limit: this.limits.of({ target: splitPath(path)[0], method: splitPath(path)[1] }),
    }
  }

  #readLimits(): LimitList {
    const declared = typeof this.#declaredLimits === 'function' ? this.#declaredLimits() : this.#declaredLimits
    if (!Array.isArray(declared)) throw invalidLimit(`they are ${described(declared)}. Write a list: [limit(…)]`)
    const byName = new Map<string, Limit>()
    for (const limit of declared) {
      if (!isInstance(limit, Limit)) throw invalidLimit('an entry is not made by limit(target, { … })')
      const target = this.nameOf(limit.target)
      const name = limit.method === undefined ? target : `${target}.${limit.method}`
      if (limit.method !== undefined) this.#find(name)
      if (target.includes(':')) throw invalidLimit(`the name of the target ${target} has a colon in it`)
      if (byName.has(name)) throw invalidLimit(`${name} has two`)
      byName.set(name, limit)
    }
    const byPath = new Map<string, NamedLimit>()
    if (byName.size > 0) {
      for (const [target, methods] of this.names()) {
        for (const path of methods.map((method) => `${target}.${method}`)) {
          const current = this.#currentPath(path)
          const name = [current, splitPath(current)[0]].find((each) => byName.has(each))
          if (name !== undefined) byPath.set(path, { name, limit: byName.get(name)! })
        }
      }
    }
    return new LimitList(byName, byPath)
  }

  #schemasOf(path: string): ArgumentSchemas<unknown[]> | undefined {
    const schemas = this.#schemas[path]
    if (schemas !== undefined) requireSchemas(path, schemas)
    return schemas
  }

  get #all(): T {
    this.#targets ??= this.#define()
    return this.#targets
  }

  get #listed(): string {
    return `Listed: ${Object.keys(this.#all).join(', ') || 'none yet'}.`
  }

  #find(path: string): Callable {
    const [name, method] = splitPath(path)
    const target = this.find(name)
    if (method === '')
      throw new UnknownTargetError(
        `${JSON.stringify(path)} names a target without a method. Write both: "${path}.send".`,
      )
    return ownMethod(name, target, method)
  }
}

/** What targets.ts says about a method. */
interface MethodSettings {
  /** The name of the target and of the method, after renames. */
  path: string
  /** The time limit of a run, in milliseconds. */
  timeout: number | undefined
  schemas: ArgumentSchemas<unknown[]> | undefined
  limit: NamedLimit | undefined
}

function invalidLimit(why: string): AsyncGenError {
  return new AsyncGenError('INVALID_OPTION', `defineTargets: the limits are invalid: ${why}.`)
}

type Class = object

function extendsOrIs(listed: object, Attempt: Class): boolean {
  return (
    listed === Attempt ||
    (typeof listed === 'function' && typeof Attempt === 'function' && listed.prototype instanceof Attempt)
  )
}
