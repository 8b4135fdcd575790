import { type ErrorCode, REMEDIES } from './error-codes.js'

/** What `Error` takes. Named here, as compilers for targets before ES2022 do not know ErrorOptions. */
interface Cause {
  cause?: unknown
}

/** Each error that the runtime throws on purpose. `code` is stable; docs/errors.md lists all codes with their causes. */
export class AsyncGenError extends Error {
  override readonly name: string = 'AsyncGenError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: Cause) {
    super(message, options)
    this.code = code
  }

  /** What to do about it. */
  get remedy(): string {
    return REMEDIES[this.code]
  }
}

/** An attempt was asked for something that its status does not allow, such as performing one that has succeeded. */
export class InvalidStateError extends AsyncGenError {
  override readonly name = 'InvalidStateError'

  constructor(message: string) {
    super('INVALID_STATE', message)
  }
}

/** The transaction that a call was to be recorded in had already ended; nothing was recorded. */
export class TransactionEndedError extends AsyncGenError {
  override readonly name = 'TransactionEndedError'

  constructor() {
    super(
      'TRANSACTION_ENDED',
      'The transaction had ended before the attempt was recorded, so nothing was recorded. ' +
        'Create attempts before the transaction times out, or raise its `timeout`.',
    )
  }
}

/** A target or method that is not listed in `defineTargets`. */
export class UnknownTargetError extends AsyncGenError {
  override readonly name = 'UnknownTargetError'

  constructor(message: string) {
    super('UNKNOWN_TARGET', message)
  }
}

/** What a row holds cannot be decrypted: it was cut, changed or moved, or encrypted with another key. */
export class DecryptionError extends AsyncGenError {
  override readonly name = 'DecryptionError'

  constructor(message: string, options?: Cause) {
    super('DECRYPTION_FAILED', message, options)
  }
}

/** A row names an encryptor or a key that this process does not have. */
export class UnknownEncryptorError extends AsyncGenError {
  override readonly name = 'UnknownEncryptorError'

  constructor(message: string) {
    super('UNKNOWN_ENCRYPTOR', message)
  }
}

/** Thrown by a call that must not be made again: the attempt fails at once, whatever runs it has left. */
export class PermanentError extends AsyncGenError {
  override readonly name = 'PermanentError'

  constructor(message: string, options?: Cause) {
    super('PERMANENT', message, options)
  }
}

/** `wait` found that the call will not return: `cause` is the error of its last run, where there is one. */
export class AttemptEndedError extends AsyncGenError {
  override readonly name = 'AttemptEndedError'

  constructor(message: string, options?: Cause) {
    super('ATTEMPT_ENDED', message, options)
  }
}

/** `wait` waited as long as it was told to. */
export class WaitTimeoutError extends AsyncGenError {
  override readonly name = 'WaitTimeoutError'

  constructor(message: string) {
    super('WAIT_TIMEOUT', message)
  }
}

/** A value that cannot be stored and come back as it was: a function, a symbol, an instance of an unknown class. */
export class UnserializableError extends AsyncGenError {
  override readonly name = 'UnserializableError'

  constructor(message: string) {
    super('UNSERIALIZABLE', message)
  }
}

/** A value that takes more room than its owner allows. */
export class PayloadTooLargeError extends AsyncGenError {
  override readonly name = 'PayloadTooLargeError'

  constructor(what: string, bytes: number, maxBytes: number) {
    super(
      'PAYLOAD_TOO_LARGE',
      `${what} takes ${megabytes(bytes)} of JSON, and ${megabytes(maxBytes)} are allowed. ` +
        'Return less, or store it elsewhere and return where it is.',
    )
  }
}

function megabytes(bytes: number): string {
  return bytes < 100_000 ? `${bytes} bytes` : `${(bytes / 2 ** 20).toFixed(1)} MB`
}

/** A value that another process was computing, and that this one waited for, could not be computed. */
export class RefreshFailedError extends AsyncGenError {
  override readonly name = 'RefreshFailedError'
  /** What was thrown there. */
  readonly failure: ErrorRecord

  constructor({ name, key }: { name: string; key: string }, failure: ErrorRecord) {
    super('REFRESH_FAILED', `${name} of ${key} could not be computed: ${failure.name}: ${failure.message}`)
    this.failure = failure
  }
}

/** PostgreSQL's codes for a table and for a column that there is not. */
const MISSING = /^(?:42P01|42703)$/

/** What is thrown in place of PostgreSQL's or Prisma's error of a missing table or column of ours; nothing for other errors. */
export function notMigrated(error: unknown): AsyncGenError | undefined {
  const { code, message = '' } = (error ?? {}) as { code?: string; message?: string }
  const raw = code === 'P2010' ? /Code: `(\w+)`/.exec(message)?.[1] : code
  // Graphile Worker's schema is made by the worker.
  if (!raw || !MISSING.test(raw) || message.includes('graphile_worker')) return undefined
  const [missing = 'table of async-gen'] = /(?:relation|column) [^`\n]+?(?= does not exist)/.exec(message) ?? []
  return new AsyncGenError(
    'NOT_MIGRATED',
    `This database has no ${missing.replaceAll('relation', 'table').replaceAll('"', '')}: the migrations of async-gen have not run in ` +
      'it, or it is another one than you think. Run `npx prisma migrate deploy`, and look at DATABASE_URL.',
    { cause: error },
  )
}

/** What can be said of anything that was thrown, in a shape that fits into a jsonb column. */
export interface ErrorRecord {
  name: string
  message: string
  stack?: string
  code?: string
  cause?: ErrorRecord
  errors?: ErrorRecord[]
}

/** How much is kept of one text of an error: an HTTP client may put a whole response into its message. */
const MAX_TEXT = 16_384

/** How many errors are kept with the one that was thrown: its causes, those that it is made of, and theirs. */
const MAX_ERRORS = 20

/**
 * Describes anything that can be thrown. It never throws itself, whatever getters or proxies it is handed, and says each error
 * once, whatever rings they make.
 */
export function describeError(thrown: unknown, told = new Set<unknown>()): ErrorRecord {
  told.add(thrown)
  if (!isInstance(thrown, Error)) return { name: 'NonError', message: readable(() => thrown) }
  const record: ErrorRecord = { name: readable(() => thrown.name), message: readable(() => thrown.message) }
  const [stack, code] = [read(thrown, 'stack'), read(thrown, 'code')]
  if (stack) record.stack = readable(() => stack)
  if (code != null) record.code = readable(() => code)
  const [cause, errors] = [read(thrown, 'cause'), read(thrown, 'errors')]
  const isNew = (error: unknown) => told.size <= MAX_ERRORS && !told.has(error)
  if (cause != null && isNew(cause)) record.cause = describeError(cause, told)
  if (isInstance(thrown, AggregateError) && Array.isArray(errors))
    record.errors = errors.flatMap((error) => (isNew(error) ? [describeError(error, told)] : []))
  return record
}

type Class = abstract new (...args: never[]) => unknown

/** `instanceof` one of them, for what was thrown: a proxy can refuse to answer. */
export function isInstance<Types extends Class[]>(
  thrown: unknown,
  ...types: Types
): thrown is InstanceType<Types[number]> {
  try {
    return types.some((type) => thrown instanceof type)
  } catch {
    return false
  }
}

function read(thrown: object, property: string): unknown {
  try {
    return Reflect.get(thrown, property)
  } catch {
    return undefined
  }
}

/** A value as text that a jsonb column takes: neither too long, nor with U+0000 or half a surrogate pair in it. */
function readable(value: () => unknown): string {
  const text = firstOf([
    () => textOf(value()),
    () => String(value()),
    () => 'Something was thrown that cannot be described',
  ])
  const cut = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}… (cut, of ${text.length} characters)` : text
  return cut.replaceAll('\0', '\ufffd').toWellFormed()
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
}

function firstOf([first, ...rest]: (() => string)[]): string {
  try {
    return first!()
  } catch {
    return firstOf(rest)
  }
}
