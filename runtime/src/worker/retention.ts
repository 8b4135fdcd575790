import { type Duration, milliseconds } from '../core/duration.js'
import type { RetentionPeriods } from '../core/swept-table.js'

/** How long finished attempts are kept; `false` keeps them for ever. */
export interface RetentionOptions {
  /** Attempts that have succeeded. Their idempotence tokens are deleted with them. Default: 7 days. */
  succeeded?: Duration | false
  /** Attempts that have failed, expired or been cancelled, with their errors. Default: 30 days. */
  ended?: Duration | false
}

/** The same with its defaults, in milliseconds. */
export function retentionPeriods({ succeeded = '7 days', ended = '30 days' }: RetentionOptions): RetentionPeriods {
  return {
    succeeded: succeeded !== false && milliseconds(succeeded),
    ended: ended !== false && milliseconds(ended),
  }
}
