interface Details {
  /** Stable, in capitals: what scripts and searches go by. */
  code: string
  /** What happened, with the value at hand. */
  message: string
  /** The file or folder it happened in, where that helps. */
  where?: string
  /** What to do next; a line each. */
  remedy: string
}

/** An error that the user can act on. Anything else that is thrown is a defect of ours. */
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

/** The command line asks for something that cannot be, or leaves out something that is needed. */
export class UsageError extends GeneratorError {
  readonly exitCode = 2
}

/** What is in the host stands in the way of what would be written. */
export class ConflictError extends GeneratorError {
  readonly exitCode = 3
}

/** The host is not one that async-gen can work in, or not yet. */
export class HostError extends GeneratorError {
  readonly exitCode = 4
}

/** The disk refused. */
export class WriteError extends GeneratorError {
  readonly exitCode = 1
}
