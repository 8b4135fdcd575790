import type { Database } from '../core/database.js'
import { sweptTables } from '../core/swept-table.js'
import { type RetentionOptions, retentionPeriods } from '../worker/retention.js'
import { requireArgument } from './arguments.js'

/**
 * Deletes what a worker deletes once a minute: attempts that ended before their retention period, expired toasts, and those whose parent is
 * gone. Returns how many rows were deleted.
 *
 *     await clock.advance('8 days')
 *     expect(await prune(db)).toBe(1)
 *
 * @param retention as for `runWorker`
 */
export async function prune(db: Database, retention: RetentionOptions | false = {}): Promise<number> {
  requireArgument('prune', 'Database', db)
  const periods = retention !== false && retentionPeriods(retention)
  let deleted = 0
  for (const table of sweptTables(db)) deleted += await table.prune(periods)
  return deleted
}
