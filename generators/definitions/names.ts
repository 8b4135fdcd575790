import { UsageError } from '../host/errors.js'
import type { Host } from '../host/inspect.js'

/** The forms of a model's name that the templates need. */
export interface ModelNames {
  model: string
  /** The property of the PrismaClient. Prisma changes only the first letter to lower case. */
  delegate: string
  file: string
  table: string
  statusEnum: string
  statusType: string
}

export function modelNames(model: string): ModelNames {
  const file = snakeCase(model)
  return {
    model,
    delegate: model[0]!.toLowerCase() + model.slice(1),
    file,
    table: plural(file),
    statusEnum: `${model}Status`,
    statusType: `${file}_status`,
  }
}

/** The first of the names that no model, enum, table or type of the host has. */
export function freeName({ schema }: Host, candidates: string[]): string {
  const isFree = (model: string) => {
    const { table, statusEnum, statusType } = modelNames(model)
    const wanted = [model, table, statusEnum, statusType]
    return schema.names.every(({ name, dbName }) => !wanted.includes(name) && !wanted.includes(dbName))
  }
  return candidates.find(isFree) ?? candidates.at(-1)!
}

/** `EmailAttempt` for `email attempt`, `email-attempt`, `email_attempt` and `emailAttempt`. */
export function className(given: string): string {
  const name = given
    .split(/[\s_-]+/)
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join('')
  if (!/^[A-Z][A-Za-z0-9]*$/.test(name) || name.length > MAX_LENGTH) {
    throw new UsageError({
      code: 'NAME_INVALID',
      message: `"${given}" is not a valid class name.`,
      remedy: `Use at most ${MAX_LENGTH} letters and digits, and start with a letter: EmailAttempt`,
    })
  }
  if (RESERVED.has(name) || KEYWORDS.has(name.toLowerCase())) {
    throw new UsageError({
      code: 'NAME_RESERVED',
      message: `"${given}" is a reserved name of JavaScript, Prisma or async-gen.`,
      remedy: 'Choose a more specific name: EmailAttempt, MonthlySales',
    })
  }
  return name
}

export function snakeCase(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1_$2')
    .toLowerCase()
}

/** PostgreSQL cuts names at 63 bytes, and the name of the table is part of the names of its indexes and triggers. */
const MAX_LENGTH = 30

const RESERVED = new Set([
  // Globals that a class of that name would hide in its file.
  ...['Array', 'BigInt', 'Boolean', 'Buffer', 'Date', 'Error', 'Function', 'Infinity', 'Intl', 'JSON', 'Map', 'Math'],
  ...['NaN', 'Number', 'Object', 'Promise', 'Proxy', 'Record', 'Reflect', 'RegExp', 'Set', 'String', 'Symbol', 'URL'],
  // Names of Prisma.
  ...['Prisma', 'PrismaClient'],
  // Names of our files and tasks: async/database.ts, tasks/sweep.ts …
  ...[
    'AsyncBatch',
    'AsyncPause',
    'AsyncSchedule',
    'AsyncWorker',
    'BaseAttempt',
    'BaseReport',
    'Database',
    'RefreshToast',
    'Report',
    'Sweep',
    'Target',
    'Targets',
  ],
  ...['Toast', 'Toasts', 'Worker'],
])

/** `prisma.class` is valid, but a variable cannot have that name. */
const KEYWORDS = new Set(
  (
    'await break case catch class const continue debugger default delete do else enum export extends false finally for ' +
    'function if implements import in instanceof interface let new null package private protected public return static ' +
    'super switch this throw true try typeof undefined var void while with yield'
  ).split(' '),
)

function plural(word: string): string {
  if (/[^aeiou]y$/.test(word)) return `${word.slice(0, -1)}ies`
  return /(s|x|z|ch|sh)$/.test(word) ? `${word}es` : `${word}s`
}
