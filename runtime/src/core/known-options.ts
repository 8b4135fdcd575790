import { described } from './described.js'
import { AsyncGenError } from './errors.js'

/** @throws AsyncGenError UNKNOWN_OPTION; INVALID_OPTION for what is no object */
export function refuseUnknownOptions(owner: string, options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw new AsyncGenError(
      'INVALID_OPTION',
      `${owner} takes its options as an object. It got ${described(options)}. The options are: ${known.join(', ')}.`,
    )
  // A PrismaClient, or a transaction of it.
  if (known.includes('tx') && '$queryRawUnsafe' in options)
    throw new AsyncGenError('INVALID_OPTION', `${owner} got a transaction in place of its options. Write { tx }.`)
  const unknown = Object.keys(options).find((option) => !known.includes(option))
  if (unknown === undefined) return
  throw new AsyncGenError(
    'UNKNOWN_OPTION',
    `${owner} has no option "${unknown}". Its options are: ${known.join(', ')}.`,
  )
}
