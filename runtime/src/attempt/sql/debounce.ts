import { quoteName } from '../../core/postgres/connection.js'
import type { Statement } from '../../core/statement.js'

/** What a waiting call gets from the newer one. */
const REPLACED = [
  'type',
  'args',
  'encryptor',
  'priority',
  'max_attempts',
  'expires_at',
  'timeout_ms',
  'limit_key',
  'trace_context',
]

/** The parts of an insert that does not debounce. */
export const NOT_DEBOUNCED = { parameters: '', delay: '', order: '', conflict: '', returned: '' }

/**
 * The parts of the insert that debounce. A call that waits gets what the newer one brings; of a unique call, nothing changes, unless it has
 * expired: it would never run, and no sweep has ended it yet. Either way its row is locked until the end of the transaction, so it cannot
 * begin meanwhile. If it has just begun, PostgreSQL inserts another.
 *
 * Encrypted arguments are bound to the id of their row. So those for the waiting row come apart ($3), with its id ($4).
 */
export function debouncedParts(extra: readonly string[], debouncing: 'plain' | 'encrypted'): typeof NOT_DEBOUNCED {
  const isReplaced = `(starts_with(excluded.debounce_key, 'debounce:') OR attempt.expires_at <= clock_timestamp())`
  const set = [...REPLACED, ...extra].map((column) => {
    const name = quoteName(column)
    const value = column === 'args' && debouncing === 'encrypted' ? '$3::text::jsonb' : `excluded.${name}`
    return `${name} = CASE WHEN ${isReplaced} THEN ${value} ELSE attempt.${name} END`
  })
  return {
    parameters: debouncing === 'encrypted' ? ', $3 arguments for the waiting row, $4 its id' : '',
    delay: ` + coalesce(least((call.debounce->>'wait')::float8, (call.debounce->>'atMost')::float8), 0) * interval '1 millisecond'`,
    // Two transactions that debounce the same calls in one order wait for each other, and do not deadlock.
    order: `call.debounce->>'key' NULLS FIRST, call.target, call.method, `,
    conflict: `ON CONFLICT (target, method, debounce_key) WHERE status = 'pending' AND debounce_key IS NOT NULL DO UPDATE SET
        scheduled_at = CASE WHEN ${isReplaced} THEN least(excluded.scheduled_at, attempt.debounce_until) ELSE attempt.scheduled_at END,
        updated_at = clock_timestamp(),
        ${set.join(',\n        ')}${debouncing === 'encrypted' ? '\n      WHERE attempt.id = $4::bigint' : ''}`,
    // A row that this statement has inserted has no xmax.
    returned: ', (attempt.xmax <> 0) AS "wasWaiting"',
  }
}

/** The row that waits for a key. */
export const findWaitingStatement = (table: string): Statement => ({
  name: `${table}:find-waiting`,
  text: `
      -- $1 target, $2 method, $3 key
      SELECT id::text AS id FROM "${table}"
      WHERE target = $1 AND method = $2 AND debounce_key = $3 AND status = 'pending'`,
})
