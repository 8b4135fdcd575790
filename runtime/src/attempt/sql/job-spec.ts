/**
 * The Graphile Worker job of a row, for `add_jobs`. Graphile Worker runs low priorities first, and stores them in a smaller integer.
 * @param task the parameter with the name of the task: `$1`
 * @param key whether a second job of the row replaces the first
 */
export function jobSpec(task: string, key: 'with a key' | 'without a key' = 'with a key'): string {
  return `(
          ${task},
          CASE WHEN limit_key IS NULL THEN json_build_object('id', id::text) ELSE json_build_object('id', id::text, 'limitKey', limit_key) END,
          NULL,
          scheduled_at,
          NULL,
          ${key === 'with a key' ? `${task} || ':' || id` : 'NULL'},
          greatest(-32768, least(32767, -priority::bigint)),
          NULL
        )::graphile_worker.job_spec`
}

/** `retryAll` makes the calls of a batch due one after the other, within less than a millisecond. */
const SOON = `clock_timestamp() + interval '1 millisecond'`

/**
 * The rows of a list that get a job: of those of a key, the first. Its run enqueues the next, so that the others do not delay the queue.
 * @param rows the name of a list with id, limit_key, priority and scheduled_at
 */
export function oneOfEachKey(rows: string): string {
  return `
      SELECT * FROM ${rows} WHERE limit_key IS NULL OR scheduled_at > ${SOON}
      UNION ALL
      (
        SELECT DISTINCT ON (limit_key) * FROM ${rows}
        WHERE limit_key IS NOT NULL AND scheduled_at <= ${SOON}
        ORDER BY limit_key, priority DESC, scheduled_at, id
      )`
}
