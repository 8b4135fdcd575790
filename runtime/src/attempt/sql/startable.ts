/**
 * The condition that a run of a row may begin: the row is pending and due, has not expired, and is not paused.
 *
 * @param row the name of the row in the statement
 * @param model the parameter with the name of the model: `$3`
 */
export function isStartable(row: string, model: string): string {
  return `${row}.status::text = 'pending' AND ${row}.scheduled_at <= clock_timestamp()
          AND (${row}.expires_at IS NULL OR ${row}.expires_at > clock_timestamp())
          AND NOT ${isPaused(row, model)}`
}

/** The condition that a pause which has not ended matches a row. */
export function isPaused(row: string, model: string): string {
  return `EXISTS (
            SELECT FROM async_pauses AS pause
            WHERE pause.model = ${model} AND pause.target IN ('*', ${row}.target) AND pause.method IN ('*', ${row}.method)
              AND (pause.until IS NULL OR pause.until > clock_timestamp())
          )`
}
