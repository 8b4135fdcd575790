import { AsyncGenError } from './errors.js'

/** @throws AsyncGenError UNKNOWN_OPTION */
export function refuseUnknownOptions(owner: string, options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((option) => !known.includes(option))
  if (unknown === undefined) return
  throw new AsyncGenError(
    'UNKNOWN_OPTION',
    `${owner} has no option "${unknown}". Its options are: ${known.join(', ')}.`,
  )
}
