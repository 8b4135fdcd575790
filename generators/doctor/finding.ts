import type { GeneratorError } from '../host/errors.js'

/** Something that is wrong, or soon will be. */
export interface Finding {
  severity: 'error' | 'warning' | 'fixed'
  /** Stable, in capitals: what scripts and searches go by. */
  code: string
  message: string
  /** The file or the place in the database. */
  where?: string | undefined
  /** What to do; a line each. */
  remedy: string
}

export function findingOf({ code, message, where, remedy }: GeneratorError): Finding {
  return { severity: 'error', code, message, where, remedy }
}
