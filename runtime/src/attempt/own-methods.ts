import { UnknownTargetError } from '../core/errors.js'
import { type Callable, type Methods, RecordTarget } from './record-target.js'
import type { Target } from './target-types.js'

/** The names in a path such as `OrderClient.fulfill`. The method is empty if the path names none. */
export function splitPath(path: string): [target: string, method: string] {
  const dot = path.indexOf('.')
  return dot === -1 ? [path, ''] : [path.slice(0, dot), path.slice(dot + 1)]
}

/** The names of what can be called on a target: its own functions. */
export function ownMethodsOf(target: Target): string[] {
  return ownFunctionsOf(target instanceof RecordTarget ? target.methods : target)
}

/**
 * The method of the target that is listed under a name. It is looked up at each call, so that a test can replace it.
 * @throws UnknownTargetError that says what there is
 */
export function ownMethod(name: string, target: Target, method: string): Callable {
  const methods = target instanceof RecordTarget ? target.methods : target
  const names = ownFunctionsOf(methods)
  if (!names.includes(method)) {
    const why = inherits(methods, method)
      ? `inherits its method ${JSON.stringify(method)}, and only own methods can be called`
      : `has no method ${JSON.stringify(method)}`
    throw new UnknownTargetError(`The target ${name} ${why}. It has: ${names.join(', ') || 'none'}.`)
  }
  const callable: Callable = (...args) => (methods as Methods)[method]!(...args)
  return target instanceof RecordTarget ? target.loadingFirst(name, callable) : callable
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
