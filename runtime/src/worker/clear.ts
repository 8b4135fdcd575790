import type { Database } from '../core/database.js'
import type { Statement } from '../core/statement.js'

/**
 * Removes the waiting refreshes of toasts, reports and cached functions from the queue. The values stay; the next read of a stale value
 * requests a refresh again. Attempts are never removed.
 *
 * @returns how many refreshes were removed
 */
export async function clearRefreshes(db: Database): Promise<number> {
  return (await db.query(clearStatement, [])).length
}

const clearStatement: Statement = {
  name: 'async-gen:clear-refreshes',
  text: `
    WITH cleared AS (
      UPDATE toasts SET refresh_at = NULL, updated_at = clock_timestamp()
      WHERE refresh_at IS NOT NULL AND locked_by IS NULL
      RETURNING id
    )
    SELECT (graphile_worker.remove_job('toast:' || id)).id FROM cleared`,
}
