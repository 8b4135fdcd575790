interface Details {
  /** Stable, for scripts and searches. */
  code: string
  /** What happened, with the value that caused it. */
  message: string
  /** The file or folder concerned. */
  where?: string
  /** What to do next, one step on each line. */
  remedy: string
}

/** An error that the user can fix. Every other error is a bug in async-gen. */
export abstract class GeneratorError extends Error {
  abstract readonly exitCode: number
  readonly code: string
  readonly where: string | undefined
  readonly remedy: string

  constructor({ code, message, where, remedy }: Details) {
    super(message)
    this.name = new.target.name
    this.code = code
    this.where = where
    this.remedy = remedy
  }
}

/** The command line is wrong or incomplete. */
export class UsageError extends GeneratorError {
  readonly exitCode = 2
}

/** Something in the host conflicts with what async-gen would write. */
export class ConflictError extends GeneratorError {
  readonly exitCode = 3
}

/** async-gen does not support the host, or not in its current state. */
export class HostError extends GeneratorError {
  readonly exitCode = 4
}

/** Writing to the disk failed. */
export class WriteError extends GeneratorError {
  readonly exitCode = 1
}
