import { AsyncGenError } from '../core/errors.js'

/** What the functions of the test kit take first. By shape: the host may have another copy of this package. */
const KINDS = {
  Database: { is: isDatabase, needs: 'the Database of src/async/database.ts', pass: 'db' },
  class: { is: isClass, needs: 'a class of attempts', pass: 'Attempt' },
  Attempt: { is: isAttempt, needs: 'an Attempt', pass: 'await Attempt.find(id)' },
  PrismaClient: { is: isClient, needs: 'a PrismaClient', pass: 'prisma, async (tx) => …' },
  toast: { is: isToast, needs: 'a toast of src/async/toasts.ts', pass: 'db, toast, parent' },
  function: {
    is: (given: unknown) => typeof given === 'function',
    needs: 'a function',
    pass: 'prisma, async (tx) => …',
  },
  arguments: { is: Array.isArray, needs: 'the arguments of the call in an array', pass: "Target, 'method', [arg]" },
} satisfies Record<string, { is(given: unknown): boolean; needs: string; pass: string }>

/**
 * Refuses an argument of the wrong kind.
 * @throws AsyncGenError INVALID_OPTION
 */
export function requireArgument(name: string, kind: keyof typeof KINDS, given: unknown): void {
  const { is, needs, pass } = KINDS[kind]
  if (is(given)) return
  const isRow = kind === 'Attempt' && described(given) === 'an object'
  const example = isRow ? 'await Attempt.find(row.id)' : `${name}(${pass})`
  throw new AsyncGenError('INVALID_OPTION', `${name}() needs ${needs}: ${example}. It got ${described(given)}.`)
}

function described(given: unknown): string {
  if (given === undefined || given === null) return `${given}`
  if (isClass(given)) return `the class ${given.name}`
  if (isToast(given)) return 'a toast'
  if (typeof given === 'function') return 'a function'
  if (typeof given !== 'object') return `the ${typeof given} ${String(given)}`
  if (Array.isArray(given)) return 'an array'
  if ('then' in given) return 'a promise: await it'
  if (isDatabase(given)) return 'a Database'
  if (isAttempt(given)) return `an instance of ${given.constructor.name}`
  if (isClient(given)) return 'a PrismaClient'
  return '$queryRawUnsafe' in given || hasAll(given, 'query', 'orm') ? 'a transaction' : 'an object'
}

function isDatabase(given: unknown): boolean {
  return hasAll(given, 'openTransaction', 'findRecord')
}

function isClass(given: unknown): given is { name: string } {
  return typeof given === 'function' && hasAll(given, 'db', 'store', 'targets')
}

function isAttempt(given: unknown): given is object {
  return typeof given === 'object' && given !== null && isClass(given.constructor)
}

function isClient(given: unknown): boolean {
  // The second is one of Prisma 8.
  return hasAll(given, '$connect', '$transaction') || hasAll(given, 'transaction', 'runtime', 'orm', 'contract')
}

function isToast(given: unknown): boolean {
  return hasAll(given, 'toastName', 'keyOf')
}

function hasAll(given: unknown, ...names: string[]): boolean {
  const isObject = (typeof given === 'object' && given !== null) || typeof given === 'function'
  return isObject && names.every((name) => name in given)
}
