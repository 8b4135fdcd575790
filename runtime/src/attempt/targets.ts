import { AsyncGenError, PermanentError, UnknownTargetError } from '../core/errors.js'

// biome-ignore lint/suspicious/noExplicitAny: any argument list is allowed; the compiler checks it where a call is recorded
export type Callable = (...args: any[]) => unknown

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

/** What a call of a target's method resolves with, as it is stored and read again. */
export type ResultOf<T, M> = M extends keyof MethodsOf<T>
  ? MethodsOf<T>[M] extends (...args: never[]) => infer Result
    ? Awaited<Result>
    : never
  : never

type MethodsOf<T> = T extends RecordTarget<infer _Record, infer _Id, infer M> ? M : T

type Methods = Record<string, Callable>

/** The path of a method, as a row names it: `OrderClient.fulfill`. */
type PathIn<T extends Targets> = { [N in keyof T & string]: `${N}.${MethodOf<T[N]>}` }[keyof T & string]

export interface TargetOptions<T extends Targets> {
  /** Old paths of methods that were renamed or moved, so that rows in flight survive: `{ 'OrderClient.send': 'OrderClient.fulfill' }`. */
  renamed?: Record<string, PathIn<T>>
  /** Classes that extend a class of attempts, by the names that their rows remember: `{ UrgentAttempt }`. */
  subclasses?: Record<string, object>
}

/**
 * Lists all that an attempt may call, by the names that rows remember. Given as a function, the list is evaluated when the
 * first call is recorded or runs.
 */
export function defineTargets<T extends Targets>(define: () => T, options?: TargetOptions<NoInfer<T>>): TargetList<T>
export function defineTargets<T extends Targets>(targets: T, options?: TargetOptions<NoInfer<T>>): TargetList<T>
export function defineTargets<T extends Targets>(
  targets: T | (() => T),
  { renamed = {}, subclasses = {} }: TargetOptions<T> = {},
): TargetList<T> {
  if (typeof targets === 'function') return new TargetList(targets as () => T, renamed, subclasses)
  const list = new TargetList(() => targets, renamed, subclasses)
  list.check()
  return list
}

/** The list itself, or a function that imports the module which exports it as `targets`. */
export type TargetSource<T extends Targets> = TargetList<T> | (() => Promise<{ targets: TargetList<T> }>)

/** A function that loads the list once. A load that failed is tried again. */
export function targetLoader<T extends Targets>(source: TargetSource<T>): () => Promise<TargetList<T>> {
  let list = typeof source === 'function' ? undefined : source
  return async () => {
    list ??= typeof source === 'function' ? await importedTargets(source) : source
    return list
  }
}

async function importedTargets<T extends Targets>(load: () => Promise<{ targets: TargetList<T> }>) {
  const { targets } = await load()
  if (targets) return targets
  throw new AsyncGenError(
    'INVALID_TARGETS',
    'The module that BaseAttempt imports exports no `targets`. Export the list there: export const targets = defineTargets(…)',
  )
}

/** All that an attempt may call: own functions of what is listed, and nothing else. */
export class TargetList<T extends Targets = Targets> {
  readonly #define: () => T
  readonly #renamed: Record<string, string>
  readonly #subclasses: Record<string, object>
  #targets: T | undefined
  readonly #resolved = new Map<string, Callable>()

  constructor(define: () => T, renamed: Record<string, string>, subclasses: Record<string, object>) {
    this.#define = define
    this.#renamed = renamed
    this.#subclasses = subclasses
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
  }

  /** The name under which a target is listed. */
  nameOf(target: Target): string {
    const entry = Object.entries(this.#all).find(([, listed]) => listed === target)
    if (entry) return entry[0]
    const what = typeof target === 'function' && target.name ? target.name : 'The object that you passed'
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
      callable = this.#find(Object.hasOwn(this.#renamed, path) ? this.#renamed[path]! : path)
      this.#resolved.set(path, callable)
    }
    return callable
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
    const methods = target instanceof RecordTarget ? target.methods : target
    const names = ownFunctionsOf(methods)
    if (!names.includes(method)) {
      const why = inherits(methods, method)
        ? `inherits its method ${JSON.stringify(method)}, and only own methods can be called`
        : `has no method ${JSON.stringify(method)}`
      throw new UnknownTargetError(`The target ${name} ${why}. It has: ${names.join(', ') || 'none'}.`)
    }
    const callable = (methods[method as never] as Callable).bind(methods)
    return target instanceof RecordTarget ? target.loadingFirst(name, callable) : callable
  }
}

type Class = object

function splitPath(path: string): [target: string, method: string] {
  const dot = path.indexOf('.')
  return [path.slice(0, dot), path.slice(dot + 1)]
}

function extendsOrIs(listed: object, Attempt: Class): boolean {
  return (
    listed === Attempt ||
    (typeof listed === 'function' && typeof Attempt === 'function' && listed.prototype instanceof Attempt)
  )
}

/** Whether a class or object has a method from a class that it extends. */
function inherits(target: Target, method: string): boolean {
  const parent: object | null = Object.getPrototypeOf(target)
  if (parent === null || parent === Function.prototype || parent === Object.prototype) return false
  return ownFunctionsOf(parent).includes(method) || inherits(parent, method)
}

function ownFunctionsOf(target: Target): string[] {
  return Object.getOwnPropertyNames(target).filter((name) => {
    return name !== 'constructor' && typeof Object.getOwnPropertyDescriptor(target, name)?.value === 'function'
  })
}

/** The records of a model as a target: a loader, and methods that take the record first. */
export class RecordTarget<Record, Id, M extends Methods> {
  readonly load: (id: Id) => Promise<Record | null>
  readonly methods: M

  constructor({ load, methods }: { load: (id: Id) => Promise<Record | null>; methods: M }) {
    this.load = load
    this.methods = methods
  }

  /** One record, to be called later: `Attempt.async(Orders.for(order)).fulfill()`. It is read again when the call is made. */
  for(record: { id: Id }): TargetRecord<this> {
    if (record?.id === undefined || record.id === null) {
      throw new AsyncGenError(
        'NOT_PERSISTED',
        'Record must be persisted before a call of it can be recorded: it has no id.',
      )
    }
    return new TargetRecord(this, record.id)
  }

  /** The method as it is called from a row: with the id in place of the record. */
  loadingFirst(name: string, method: Callable): Callable {
    return async (id: Id, ...args: unknown[]) => {
      const record = await this.load(id)
      if (!record)
        throw new PermanentError(`${name} ${String(id)} is gone: it was deleted after the call was recorded.`)
      return await method(record, ...args)
    }
  }
}

/** One record of a target. */
export class TargetRecord<T> {
  readonly target: T
  readonly id: unknown

  constructor(target: T, id: unknown) {
    this.target = target
    this.id = id
  }
}

/**
 * Makes the records of a model a target: list what it returns in `defineTargets`.
 *
 *     export const Orders = recordTarget({
 *       load: (id: number) => prisma.order.findUnique({ where: { id } }),
 *       methods: { fulfill: async (order, carrier: string) => { … } },
 *     })
 */
export function recordTarget<
  Record,
  Id,
  M extends { [name: string]: (record: Record, ...args: never[]) => unknown },
>(definition: { load: (id: Id) => Promise<Record | null>; methods: M }): RecordTarget<Record, Id, M> {
  return new RecordTarget(definition)
}
