import type { GeneratorError } from '../../host/errors.js'

/** A problem, a problem to come, or a note: something that somebody wants, but may have forgotten. */
export interface Finding {
  severity: 'error' | 'warning' | 'note' | 'fixed'
  /** Stable, for scripts and searches. */
  code: string
  message: string
  /** The file or the place in the database. */
  where?: string | undefined
  /** What to do, one step on each line. */
  remedy: string
}

export function findingOf({ code, message, where, remedy }: GeneratorError): Finding {
  return { severity: 'error', code, message, where, remedy }
}
