import { type Callable, RecordTarget, TargetRecord } from '../attempt/record-target.js'
import { AsyncGenError } from '../core/errors.js'
import type { NamedMethod } from './recorded.js'

/** A call that is to fail. */
interface Fault {
  error: unknown
  /** For calls of one record only. */
  record: { id: unknown } | undefined
}

/** A method that is replaced for as long as it has faults. */
interface FaultyMethod {
  faults: Fault[]
  restore(): void
}

const faulty = new WeakMap<object, Map<string, FaultyMethod>>()

/**
 * Has the next call of a method throw an error, in place of running. Then the method is as before.
 *
 *     failOnce(OrderClient, 'fulfill', new Error('The warehouse does not answer'))
 *
 * It works for classes, objects of functions and records of a model: all of them (`Orders`) or one (`Orders.for(order)`). Called twice, it
 * has the next two calls fail. It replaces the method of the object, so calls that no attempt makes fail too.
 *
 * @returns a function that restores the method if it has not been called
 * @throws AsyncGenError INVALID_TARGET if the method does not exist or cannot be replaced
 */
export function failOnce<const C extends object, const M extends string>(
  target: C,
  method: NamedMethod<C, M>,
  error: unknown,
): () => void {
  const record = target instanceof TargetRecord ? target : undefined
  const owner: object = record ? record.target : target
  const methods: object = owner instanceof RecordTarget ? owner.methods : owner
  const fault: Fault = { error, record }
  const replaced = faultyMethod(methods, method)
  replaced.faults.push(fault)
  return () => remove(replaced, fault)
}

function faultyMethod(methods: object, method: string): FaultyMethod {
  const known = faulty.get(methods) ?? new Map<string, FaultyMethod>()
  faulty.set(methods, known)
  const existing = known.get(method) ?? replace(methods, method, () => known.delete(method))
  known.set(method, existing)
  return existing
}

function replace(methods: object, method: string, onRestored: () => void): FaultyMethod {
  const descriptor = Object.getOwnPropertyDescriptor(methods, method)
  const original: unknown = descriptor?.value
  if (typeof original !== 'function' || !descriptor?.configurable)
    throw new AsyncGenError(
      'INVALID_TARGET',
      `failOnce() cannot replace ${method}: ${original ? 'its object is frozen' : 'there is no such method'}.`,
    )
  const replaced: FaultyMethod = {
    faults: [],
    restore: () => {
      Object.defineProperty(methods, method, descriptor)
      onRestored()
    },
  }
  const value = function (this: unknown, ...args: unknown[]) {
    const fault = replaced.faults.find(({ record }) => !record || isRecord(args[0], record.id))
    if (!fault) return original.apply(this, args)
    remove(replaced, fault)
    if (isAsync(original as Callable)) return Promise.reject(fault.error)
    throw fault.error
  }
  Object.defineProperty(methods, method, { ...descriptor, value })
  return replaced
}

function remove({ faults, restore }: FaultyMethod, fault: Fault): void {
  const index = faults.indexOf(fault)
  if (index < 0) return
  faults.splice(index, 1)
  if (faults.length === 0) restore()
}

function isRecord(record: unknown, id: unknown): boolean {
  return String((record as { id?: unknown } | null)?.id) === String(id)
}

function isAsync(method: Callable): boolean {
  return Object.prototype.toString.call(method) === '[object AsyncFunction]'
}
