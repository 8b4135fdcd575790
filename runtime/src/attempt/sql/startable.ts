/**
 * The condition that a run of a row may begin: the row is pending and due, has not expired, and is not paused. Whether there are pauses at
 * all is read once for all rows: to look for a pause of each row costs more than the rest of a claim.
 *
 * @param row the name of the row in the statement
 * @param model the parameter with the name of the model: `$3`
 */
export function isStartable(row: string, model: string): string {
  return `${row}.status::text = 'pending' AND ${row}.scheduled_at <= clock_timestamp()
          AND (${row}.expires_at IS NULL OR ${row}.expires_at > clock_timestamp())
          AND (NOT (SELECT EXISTS (SELECT FROM async_pauses WHERE async_pauses.model = ${model})) OR NOT ${isPaused(row, model)})`
}

/** The condition that a pause which has not ended matches a row. With `now()`, the planner can read the pauses once for all rows. */
export function isPaused(row: string, model: string): string {
  return `EXISTS (
            SELECT FROM async_pauses AS pause
            WHERE ${matches(row, model)}
              AND (pause.until IS NULL OR pause.until > now())
          )`
}

/** The condition that a pause which has ended matches a row, and its waiting rows are not enqueued yet. */
export function isResumed(row: string, model: string): string {
  return `EXISTS (
            SELECT FROM async_pauses AS pause
            WHERE ${matches(row, model)}
              AND pause.until <= now()
          )`
}

/** The condition that a pause matches a row, whether or not it has ended. */
export function hasPause(row: string, model: string): string {
  return `EXISTS (
            SELECT FROM async_pauses AS pause
            WHERE ${matches(row, model)}
          )`
}

function matches(row: string, model: string): string {
  return `pause.model = ${model} AND pause.target IN ('*', ${row}.target) AND pause.method IN ('*', ${row}.method)`
}
