import type { Database } from '../core/database.js'
import type { Statement } from '../core/statement.js'

/**
 * Takes the refreshes of toasts, reports and cached values that wait out of the queue. The values stay; whoever reads a stale one asks
 * again. Attempts are never cleared: they are promises.
 *
 * @returns how many there were
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
