import { inspect, isDeepStrictEqual } from 'node:util'

/** A matcher of a test runner, such as `expect.any(Number)` or `expect.objectContaining({ … })`. */
export interface AsymmetricMatcher {
  asymmetricMatch(actual: unknown): boolean
}

/** What a value must match: the value, a part of it, a matcher, or a function that returns whether it matches. */
export type Expected<Value> =
  | AsymmetricMatcher
  | ((actual: Value) => boolean)
  | (Value extends Date | Uint8Array | Map<unknown, unknown> | Set<unknown> | AtomicValue
      ? Value
      : Value extends readonly unknown[]
        ? { [I in keyof Value]: Expected<Value[I]> }
        : { [K in keyof Value]?: Expected<Value[K]> })

type AtomicValue = string | number | bigint | boolean | null | undefined | symbol

/** What arguments must match, by position. Those at the end may be left out. */
export type ExpectedArgs<Args extends readonly unknown[]> = { [I in keyof Args]?: Expected<Args[I]> }

/** A part of a value that does not match. */
export interface Mismatch {
  /** Where it is: `args[0].orderNumber`. */
  path: string
  /** Both as text. */
  expected: string
  actual: string
}

/** The parts of a value that do not match. Plain objects may have more properties than expected; arrays have the same length. */
export function mismatchesOf(expected: unknown, actual: unknown, path: string): Mismatch[] {
  if (isMatch(expected, actual)) return []
  if (Array.isArray(expected) && Array.isArray(actual) && expected.length === actual.length)
    return expected.flatMap((item, i) => mismatchesOf(item, actual[i], `${path}[${i}]`))
  if (isPlain(expected) && isPlain(actual))
    return Object.keys(expected).flatMap((key) => mismatchesOf(expected[key], actual[key], `${path}.${key}`))
  return [{ path, expected: show(expected), actual: show(actual) }]
}

/** The part of an actual value that was compared, for the diff of the test runner. */
export function comparedPart(expected: unknown, actual: unknown): unknown {
  if (Array.isArray(expected) && Array.isArray(actual) && expected.length === actual.length)
    return expected.map((item, i) => comparedPart(item, actual[i]))
  if (!isPlain(expected) || !isPlain(actual) || isMatcher(expected)) return actual
  const keys = Object.keys(expected).filter((key) => key in actual)
  return Object.fromEntries(keys.map((key) => [key, comparedPart(expected[key], actual[key])]))
}

/** A value in one line. */
export function show(value: unknown): string {
  return inspect(withShownMatchers(value), { depth: 8, breakLength: Number.POSITIVE_INFINITY, sorted: true })
}

function withShownMatchers(value: unknown): unknown {
  if (isMatcher(value)) {
    const text = value.toAsymmetricMatcher?.() ?? String(value)
    return { [inspect.custom]: () => text }
  }
  if (Array.isArray(value)) return value.map(withShownMatchers)
  if (!isPlain(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withShownMatchers(item)]))
}

function isMatch(expected: unknown, actual: unknown): boolean {
  if (Object.is(expected, actual)) return true
  if (isMatcher(expected)) return expected.asymmetricMatch(actual)
  if (typeof expected === 'function') return expected(actual) === true
  if (Array.isArray(expected) || isPlain(expected)) return false
  return isDeepStrictEqual(expected, actual) || isSameAsJson(expected, actual)
}

/** Two classes of decimal numbers, such as Prisma's and the runtime's, hold the same number but are not equal. */
function isSameAsJson(expected: unknown, actual: unknown): boolean {
  return hasToJson(expected) && hasToJson(actual) && isDeepStrictEqual(expected.toJSON(), actual.toJSON())
}

function hasToJson(value: unknown): value is { toJSON(): unknown } {
  return typeof (value as { toJSON?: unknown } | null)?.toJSON === 'function'
}

function isMatcher(value: unknown): value is AsymmetricMatcher & { toAsymmetricMatcher?(): string } {
  return typeof (value as Partial<AsymmetricMatcher> | null)?.asymmetricMatch === 'function'
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || isMatcher(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype || !hasBuiltInContent(value)
}

/** Rows of a PrismaClient with extensions are no plain objects. They count as such. */
function hasBuiltInContent(value: object): boolean {
  return (
    hasToJson(value) ||
    ArrayBuffer.isView(value) ||
    value instanceof Map ||
    value instanceof Set ||
    Array.isArray(value)
  )
}
