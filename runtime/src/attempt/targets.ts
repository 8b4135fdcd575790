import { AsyncGenError, UnknownTargetError } from '../errors.js'

// biome-ignore lint/suspicious/noExplicitAny: any argument list is allowed; the compiler checks it where a call is recorded
type Callable = (...args: any[]) => unknown

/** A class with static methods, or an object of functions. */
export type Target = object

export type Targets = Record<string, Target>

/** The names of what can be called on a target. */
export type MethodOf<T> = { [K in keyof T]: T[K] extends Callable ? K : never }[keyof T] & string

/** The arguments of a target's method. */
export type ArgsOf<T, M> = M extends keyof T ? (T[M] extends (...args: infer A) => unknown ? A : never) : never

/** Lists all that an attempt may call, by the names under which rows remember it. */
export function defineTargets<T extends Targets>(targets: T): T {
  for (const [name, target] of Object.entries(targets)) {
    if ((typeof target !== 'object' && typeof target !== 'function') || target === null) {
      throw new AsyncGenError(
        'INVALID_TARGET',
        `The target ${name} is ${target === null ? 'null' : `a ${typeof target}`}. A target is a class with static methods or an object of functions.`,
      )
    }
  }
  return targets
}

/** The name under which a target is listed. */
export function nameOfTarget(targets: Targets, target: Target): string {
  const entry = Object.entries(targets).find(([, listed]) => listed === target)
  if (entry) return entry[0]
  const what = typeof target === 'function' && target.name ? target.name : 'This target'
  throw new UnknownTargetError(`${what} is not a target. List it in defineTargets (targets.ts). ${listed(targets)}`)
}

/** The function that a row names, bound to its target: own functions of a listed target, and nothing else. */
export function resolveMethod(targets: Targets, targetName: string, method: string): Callable {
  const target = Object.hasOwn(targets, targetName) ? targets[targetName] : undefined
  if (!target) throw new UnknownTargetError(`No target is called ${JSON.stringify(targetName)}. ${listed(targets)}`)
  const methods = methodsOf(target)
  if (!methods.includes(method)) {
    throw new UnknownTargetError(
      `The target ${targetName} has no method ${JSON.stringify(method)}. It has: ${methods.join(', ') || 'none'}.`,
    )
  }
  return (target[method as never] as Callable).bind(target)
}

function methodsOf(target: Target): string[] {
  return Object.getOwnPropertyNames(target).filter((name) => {
    return name !== 'constructor' && typeof Object.getOwnPropertyDescriptor(target, name)?.value === 'function'
  })
}

function listed(targets: Targets): string {
  return `Listed: ${Object.keys(targets).join(', ') || 'none yet'}.`
}
