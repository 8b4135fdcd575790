/**
 * The Graphile Worker job of a row, for `add_jobs`. Graphile Worker runs low priorities first, and stores them in a smaller integer.
 * @param task the parameter with the name of the task: `$1`
 */
export function jobSpec(task: string): string {
  return `(
          ${task},
          json_build_object('id', id::text),
          NULL,
          scheduled_at,
          NULL,
          ${task} || ':' || id,
          greatest(-32768, least(32767, -priority::bigint)),
          NULL
        )::graphile_worker.job_spec`
}
