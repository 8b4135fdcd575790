import { createHash } from 'node:crypto'
import { delayMilliseconds } from '../../core/duration.js'
import { AsyncGenError } from '../../core/errors.js'
import { refuseUnknownOptions } from '../../core/known-options.js'
import type { RecordOptions } from '../calls.js'
import type { NewDebounce } from '../row.js'

const MAX_KEY = 500

/**
 * How a call finds one that waits; undefined if it is neither debounced nor unique.
 * @param args the arguments as JSON text, not encrypted
 * @throws AsyncGenError INVALID_OPTION, UNKNOWN_OPTION, INVALID_DURATION
 */
export function debounceOf(
  options: Pick<RecordOptions, 'debounce' | 'unique' | 'idempotenceToken' | 'scheduledAt'>,
  args: string,
  isEncrypted: boolean,
): NewDebounce | undefined {
  const { debounce, unique, idempotenceToken, scheduledAt } = options
  if (debounce === undefined && unique === undefined) return undefined
  const given = debounce === undefined ? 'unique' : 'debounce'
  if (debounce !== undefined && unique !== undefined)
    throw refused('unique cannot be combined with debounce: a debounced call is unique by its key.')
  if (idempotenceToken !== undefined)
    throw refused(
      `${given} cannot be combined with idempotenceToken: the token makes a call unique for ever, ${given} only while it waits.`,
    )
  if (debounce === undefined) return uniqueOf(unique, args, isEncrypted)
  if (scheduledAt !== undefined)
    throw refused('debounce cannot be combined with a time: it sets the time. Use wait and atMost.')
  if (typeof debounce !== 'object' || debounce === null)
    throw refused(`debounce is ${String(debounce)}. It must be { key, wait }.`)
  refuseUnknownOptions('debounce', debounce, ['key', 'wait', 'atMost'])
  const { key, wait, atMost } = debounce
  if (typeof key !== 'string' || key === '' || key.length > MAX_KEY || key.includes('\0') || !key.isWellFormed())
    throw refused(`debounce.key is ${String(key).slice(0, 100)}. It must be a text of 1 to ${MAX_KEY} characters.`)
  return {
    key: `debounce:${key}`,
    wait: delayMilliseconds(wait, 'debounce.wait'),
    atMost: atMost === undefined ? undefined : delayMilliseconds(atMost, 'debounce.atMost'),
  }
}

/** The digest of the arguments would tell about encrypted ones. */
function uniqueOf(unique: unknown, args: string, isEncrypted: boolean): NewDebounce {
  if (unique !== 'pending') throw refused(`unique is ${JSON.stringify(unique)}. It must be 'pending'.`)
  if (isEncrypted)
    throw refused(
      "unique: 'pending' compares arguments, which are encrypted here. Use debounce with a key that is no secret: { key: order.id, wait: 0 }.",
    )
  const digest = createHash('sha256').update(args).digest('base64url')
  return { key: `unique:${digest}`, wait: undefined, atMost: undefined }
}

function refused(message: string): AsyncGenError {
  return new AsyncGenError('INVALID_OPTION', message)
}
