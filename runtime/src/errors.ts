/** Every error that the runtime throws on purpose: a stable `code` to branch on, a message that says what to do. */
export class AsyncGenError extends Error {
  override readonly name: string = 'AsyncGenError'
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
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

  constructor(message: string, options?: ErrorOptions) {
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

  constructor(message: string, options?: ErrorOptions) {
    super('PERMANENT', message, options)
  }
}

/** `wait` found that the call will not return: `cause` is the error of its last run, where there is one. */
export class AttemptEndedError extends AsyncGenError {
  override readonly name = 'AttemptEndedError'

  constructor(message: string, options?: ErrorOptions) {
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

/** What can be said of anything that was thrown, in a shape that fits into a jsonb column. */
export interface ErrorRecord {
  name: string
  message: string
  stack?: string
  code?: string
  cause?: ErrorRecord
  errors?: ErrorRecord[]
}

const MAX_DEPTH = 5

/** Describes anything that can be thrown. It never throws itself, whatever getters or proxies it is handed. */
export function describeError(thrown: unknown, depth = 0): ErrorRecord {
  try {
    if (!(thrown instanceof Error))
      return { name: 'NonError', message: typeof thrown === 'string' ? thrown : show(thrown) }
    const record: ErrorRecord = { name: String(thrown.name), message: String(thrown.message) }
    if (thrown.stack) record.stack = String(thrown.stack)
    if ('code' in thrown && thrown.code != null) record.code = String(thrown.code)
    if (depth === MAX_DEPTH) return record
    if (thrown.cause != null) record.cause = describeError(thrown.cause, depth + 1)
    if (thrown instanceof AggregateError) record.errors = thrown.errors.map((error) => describeError(error, depth + 1))
    return record
  } catch {
    return { name: 'NonError', message: 'Something was thrown that cannot be described' }
  }
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? String(value)
}
