import { type ErrorCode, REMEDIES } from './error-codes.js'

/** The options of `Error`. Declared here because ErrorOptions is not in the library of targets before ES2022. */
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

/** By its shape: the host may have another copy of this package. */
export function isAsyncGenError(error: unknown): error is AsyncGenError {
  return error instanceof Error && 'code' in error && 'remedy' in error
}

/** The status of an attempt does not allow the method, such as `perform` after it has succeeded. */
export class InvalidStateError extends AsyncGenError {
  override readonly name = 'InvalidStateError'

  constructor(message: string) {
    super('INVALID_STATE', message)
  }
}

/** The transaction had ended before the attempt was recorded, so nothing was recorded. */
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

/** The target or method is not listed in `defineTargets`. */
export class UnknownTargetError extends AsyncGenError {
  override readonly name = 'UnknownTargetError'

  constructor(message: string) {
    super('UNKNOWN_TARGET', message)
  }
}

/** The content of a row cannot be decrypted: it was truncated, changed or moved, or encrypted with another key. */
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

/** Throw it in a call that must not run again: the attempt fails at once, even if it has runs left. */
export class PermanentError extends AsyncGenError {
  override readonly name = 'PermanentError'

  constructor(message: string, options?: Cause) {
    super('PERMANENT', message, options)
  }
}

/** Arguments of a call do not fit the schemas of its method. */
export class InvalidArgumentsError extends AsyncGenError {
  override readonly name = 'InvalidArgumentsError'

  /** @param problems such as `args[0].orderNumber: Expected a number` */
  constructor(path: string, problems: string[]) {
    super('INVALID_ARGUMENTS', `The arguments of ${path} are invalid: ${problems.join('; ')}`)
  }
}

/** A run took longer than its time limit. The `signal` of its call aborts with this error, and the run fails with it. */
export class TimeoutError extends AsyncGenError {
  override readonly name = 'TimeoutError'

  constructor(message: string) {
    super('TIMEOUT', message)
  }
}

/** `wait` found that the attempt ended without success. `cause` is the error of its last run, if there is one. */
export class AttemptEndedError extends AsyncGenError {
  override readonly name = 'AttemptEndedError'

  constructor(message: string, options?: Cause) {
    super('ATTEMPT_ENDED', message, options)
  }
}

/** `wait` reached its timeout. */
export class WaitTimeoutError extends AsyncGenError {
  override readonly name = 'WaitTimeoutError'

  constructor(message: string) {
    super('WAIT_TIMEOUT', message)
  }
}

/** A value that cannot be restored after it was stored: a function, a symbol, an instance of an unknown class. */
export class UnserializableError extends AsyncGenError {
  override readonly name = 'UnserializableError'

  constructor(message: string) {
    super('UNSERIALIZABLE', message)
  }
}

/** A value that is larger than `maxBytes`. */
export class PayloadTooLargeError extends AsyncGenError {
  override readonly name = 'PayloadTooLargeError'

  constructor(name: string, bytes: number, maxBytes: number) {
    super(
      'PAYLOAD_TOO_LARGE',
      `${name} takes ${megabytes(bytes)} of JSON. The limit is ${megabytes(maxBytes)}. ` +
        'Make the value smaller, or store it elsewhere and keep a reference to it.',
    )
  }
}

function megabytes(bytes: number): string {
  return bytes < 100_000 ? `${bytes} bytes` : `${(bytes / 2 ** 20).toFixed(1)} MB`
}

/** The computation of a value failed in another process, while this process waited for it. */
export class RefreshFailedError extends AsyncGenError {
  override readonly name = 'RefreshFailedError'
  /** The error in the other process. */
  readonly failure: ErrorRecord

  constructor({ name, key }: { name: string; key: string }, failure: ErrorRecord) {
    super('REFRESH_FAILED', `The toast ${name} of ${key} could not be computed: ${failure.name}: ${failure.message}`)
    this.failure = failure
  }
}

/** The SQLSTATEs undefined_table and undefined_column. */
const UNDEFINED_NAME = /^(?:42P01|42703)$/

/** The error NOT_MIGRATED, if a statement failed because a table or column of the runtime is missing; undefined for other errors. */
export function notMigrated(error: unknown): AsyncGenError | undefined {
  const { code, message = '' } = (error ?? {}) as { code?: string; message?: string }
  const raw = code === 'P2010' ? /Code: `(\w+)`/.exec(message)?.[1] : code
  // The worker creates Graphile Worker's schema.
  if (!raw || !UNDEFINED_NAME.test(raw) || message.includes('graphile_worker')) return undefined
  const [missing = 'table of async-gen'] = /(?:relation|column) [^`\n]+?(?= does not exist)/.exec(message) ?? []
  return new AsyncGenError(
    'NOT_MIGRATED',
    `This database has no ${missing.replaceAll('relation', 'table').replaceAll('"', '')}: the migrations of async-gen have not run in ` +
      'it, or DATABASE_URL names another database. Run `npx prisma migrate deploy` (with Prisma 8: ' +
      '`npx prisma db migrate`), and check DATABASE_URL.',
    { cause: error },
  )
}

/** An error as plain data for a jsonb column. */
export interface ErrorRecord {
  name: string
  message: string
  stack?: string
  code?: string
  cause?: ErrorRecord
  errors?: ErrorRecord[]
}

/** The maximum length of each text of an error, in characters: an HTTP client may put a whole response into its message. */
const MAX_TEXT_LENGTH = 16_384

/** How many errors one record may contain: causes, the errors of an AggregateError, and theirs. */
const MAX_ERRORS = 20

/**
 * Describes anything that can be thrown. It never throws, even if a getter or proxy does, and describes each error once, even if causes
 * form a circle.
 */
export function describeError(thrown: unknown, described = new Set<unknown>()): ErrorRecord {
  described.add(thrown)
  if (!isInstance(thrown, Error)) return { name: 'NonError', message: storable(() => thrown) }
  const record: ErrorRecord = { name: storable(() => thrown.name), message: storable(() => thrown.message) }
  const [stack, code] = [read(thrown, 'stack'), read(thrown, 'code')]
  if (stack) record.stack = storable(() => stack)
  if (code != null) record.code = storable(() => code)
  const [cause, errors] = [read(thrown, 'cause'), read(thrown, 'errors')]
  const isNew = (error: unknown) => described.size <= MAX_ERRORS && !described.has(error)
  if (cause != null && isNew(cause)) record.cause = describeError(cause, described)
  if (isInstance(thrown, AggregateError) && Array.isArray(errors))
    record.errors = errors.flatMap((error) => (isNew(error) ? [describeError(error, described)] : []))
  return record
}

type Class = abstract new (...args: never[]) => unknown

/** Whether a thrown value is an instance of one of the classes. `instanceof` throws for some proxies. */
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

/** A value as text for a jsonb column: limited in length, without U+0000 and lone surrogates. */
function storable(value: () => unknown): string {
  const text = firstOf([() => textOf(value()), () => String(value()), () => 'The thrown value cannot be described'])
  const limited =
    text.length > MAX_TEXT_LENGTH ? `${text.slice(0, MAX_TEXT_LENGTH)}… (truncated, ${text.length} characters)` : text
  return limited.replaceAll('\0', '\ufffd').toWellFormed()
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

/** A call uses its transaction or its context after its end. */
export function callEnded(): AsyncGenError {
  return new AsyncGenError('CALL_ENDED', 'The call has ended. Await everything that it starts before it returns.')
}
