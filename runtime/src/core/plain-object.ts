/**
 * Whether a value is an object literal, or what JSON.parse returns. It may come from another realm: Jest and `node:vm` have an
 * Object.prototype of their own, which is the only prototype that has none itself.
 */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
