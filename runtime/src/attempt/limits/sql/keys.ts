/** The next calls of a key that may start, in their order. */
export function nextOfKey(table: string, key: string, limit: string): string {
  return `SELECT next.id, ${key} AS limit_key, next.priority, next.scheduled_at
          FROM "${table}_next"(${key}, ${limit}, clock_timestamp()) AS next`
}

/**
 * The keys that have pending calls, found by one step in the index for each: those after $2, at most $4. The last row may be null.
 *
 * The conditions of a pending row are those of the index by priority and time: see the migration. With others, PostgreSQL could choose
 * another index, or expect so few rows that it sorts all of a key.
 */
export function waitingKeys(table: string): string {
  return `keys AS (
        (
          SELECT limit_key, 1 AS number FROM "${table}"
          WHERE status < 'running' AND scheduled_at >= '-infinity' AND limit_key IS NOT NULL AND limit_key > (SELECT $2)
          ORDER BY limit_key LIMIT 1
        )
        UNION ALL
        SELECT (
          SELECT attempt.limit_key FROM "${table}" AS attempt
          WHERE attempt.status < 'running' AND attempt.scheduled_at >= '-infinity' AND attempt.limit_key IS NOT NULL AND attempt.limit_key > keys.limit_key
          ORDER BY attempt.limit_key LIMIT 1
        ), number + 1
        FROM keys
        WHERE keys.limit_key IS NOT NULL AND number < $4
      )`
}
