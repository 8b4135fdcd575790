import type { Statement } from '../database.js'
import { livingWorkers } from '../presence.js'

/**
 * Inserts the calls of a JSON array, unless the host's transaction has ended ($2).
 * @param extra columns that the host has added and that are given
 */
export function insertStatement(table: string, extra: string[]): Statement {
  const columns = extra.map((column) => `, ${quote(column)}`).join('')
  const values = extra
    .map((column) => `, (jsonb_populate_record(NULL::"${table}", call.data)).${quote(column)}`)
    .join('')
  return {
    name: `${table}:insert${columns}`,
    text: `
      INSERT INTO "${table}" (
        id, type, target, method, args, encryptor, priority, max_attempts, idempotence_token, scheduled_at, parent_id,
        trace_context${columns}
      )
      SELECT
        coalesce(call.id, nextval(pg_get_serial_sequence('"${table}"', 'id'))),
        call.type, call.target, call.method, call.args::jsonb, call.encryptor,
        coalesce(call.priority, 10), coalesce(call."maxAttempts", 25), call."idempotenceToken",
        coalesce(call."scheduledAt", now()),
        (SELECT parent.id FROM "${table}" AS parent WHERE parent.id = call."parentId"),
        call."traceContext"${values}
      FROM ROWS FROM (
        jsonb_to_recordset($1::jsonb) AS (
          id bigint, type text, target text, method text, args text, encryptor text, priority int, "maxAttempts" int,
          "idempotenceToken" text, "scheduledAt" timestamptz, "parentId" bigint, "traceContext" jsonb,
          data jsonb
        )
      ) WITH ORDINALITY AS call
      WHERE $2::text IS NULL OR $2 = pg_current_xact_id_if_assigned()::text
      ORDER BY call.ordinality
      ON CONFLICT (target, method, idempotence_token) WHERE idempotence_token IS NOT NULL DO NOTHING
      RETURNING *`,
  }
}

function quote(column: string): string {
  return `"${column.replaceAll('"', '""')}"`
}

/** The statements of one table of attempts. */
export const statements = (table: string) =>
  ({
    reserveIds: {
      name: `${table}:reserve-ids`,
      text: `
        SELECT nextval(pg_get_serial_sequence(quote_ident($1), 'id'))::text AS id
        FROM generate_series(1, $2::int)`,
    },

    findByTokens: {
      name: `${table}:find-by-tokens`,
      text: `
        SELECT attempt.*
        FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (target, method, idempotence_token)
        JOIN "${table}" AS attempt USING (target, method, idempotence_token)`,
    },

    find: {
      name: `${table}:find`,
      text: `SELECT * FROM "${table}" WHERE id = $1`,
    },

    select: {
      name: `${table}:select`,
      text: `
        SELECT * FROM "${table}"
        WHERE ($1::text IS NULL OR status::text = $1)
          AND ($2::text IS NULL OR target = $2)
          AND ($3::text IS NULL OR method = $3)
          AND ($4::text IS NULL OR idempotence_token = $4)
          AND ($5::bigint IS NULL OR parent_id = $5)
        ORDER BY id DESC
        LIMIT $6`,
    },

    count: {
      name: `${table}:count`,
      text: `
        SELECT count(*) FROM "${table}"
        WHERE ($1::text IS NULL OR status::text = $1)
          AND ($2::text IS NULL OR target = $2)
          AND ($3::text IS NULL OR method = $3)
          AND ($4::text IS NULL OR idempotence_token = $4)
          AND ($5::bigint IS NULL OR parent_id = $5)`,
    },

    // By id, always: were the status compared as an enum, the planner might go through the index of all that is due. A row that
    // somebody else has locked is passed by, so that it holds up none of the others.
    claim: {
      name: `${table}:claim`,
      text: `
        UPDATE "${table}" SET
          status = 'running',
          num_attempts = num_attempts + 1,
          locked_by = $2,
          started_at = clock_timestamp(),
          updated_at = clock_timestamp()
        WHERE id IN (
          SELECT id FROM "${table}"
          WHERE id = ANY ($1::bigint[]) AND status::text = 'pending' AND scheduled_at <= clock_timestamp()
          FOR NO KEY UPDATE SKIP LOCKED
        )
        RETURNING *`,
    },

    isDue: {
      name: `${table}:is-due`,
      text: `SELECT FROM "${table}" WHERE id = $1 AND status::text = 'pending' AND scheduled_at <= clock_timestamp()`,
    },

    succeed: {
      name: `${table}:succeed`,
      text: `
        UPDATE "${table}" SET
          status = 'succeeded',
          result = $4::text::jsonb,
          locked_by = NULL,
          completed_at = clock_timestamp(),
          updated_at = clock_timestamp()
        WHERE id = $1::bigint AND num_attempts = $2::int AND locked_by = $3::int AND status::text = 'running'
        RETURNING id`,
    },

    // The same for many, but for those that somebody else has locked.
    succeedTogether: {
      name: `${table}:succeed-together`,
      text: `
        WITH run AS (
          SELECT attempt.id, run.result
          FROM unnest($1::bigint[], $2::int[], $3::int[], $4::text[]) AS run (id, number, worker, result)
          JOIN "${table}" AS attempt ON attempt.id = run.id
          WHERE attempt.num_attempts = run.number AND attempt.locked_by = run.worker AND attempt.status::text = 'running'
          FOR NO KEY UPDATE OF attempt SKIP LOCKED
        )
        UPDATE "${table}" AS attempt SET
          status = 'succeeded',
          result = run.result::jsonb,
          locked_by = NULL,
          completed_at = clock_timestamp(),
          updated_at = clock_timestamp()
        FROM run
        WHERE attempt.id = run.id
        RETURNING attempt.id`,
    },

    fail: {
      name: `${table}:fail`,
      text: `
        UPDATE "${table}" SET
          status = CASE WHEN $5::float8 IS NULL THEN 'failed' WHEN $5 IS NOT NULL THEN 'pending' ELSE status END,
          scheduled_at = coalesce(clock_timestamp() + $5 * interval '1 millisecond', scheduled_at),
          completed_at = CASE WHEN $5 IS NULL THEN clock_timestamp() END,
          errors = errors || $4::jsonb,
          locked_by = NULL,
          updated_at = clock_timestamp()
        WHERE id = $1 AND num_attempts = $2 AND locked_by = $3 AND status::text = 'running'
        RETURNING *`,
    },

    end: {
      name: `${table}:end`,
      text: `
        UPDATE "${table}" SET
          status = $2,
          completed_at = clock_timestamp(),
          updated_at = clock_timestamp()
        WHERE id = $1 AND status = 'pending'
        RETURNING *`,
    },

    cancel: {
      name: `${table}:cancel`,
      text: `
        WITH cancelled AS (
          UPDATE "${table}" SET
            status = 'cancelled',
            locked_by = NULL,
            completed_at = clock_timestamp(),
            updated_at = clock_timestamp()
          WHERE id = $1 AND status IN ('pending', 'running')
          RETURNING *
        )
        SELECT cancelled.*
        FROM cancelled, pg_notify('async-gen:cancelled', $2::text || '/' || id)`,
    },

    retry: {
      name: `${table}:retry`,
      text: `
        UPDATE "${table}" SET
          status = 'pending',
          scheduled_at = clock_timestamp(),
          max_attempts = greatest(max_attempts, num_attempts + 1),
          completed_at = NULL,
          updated_at = clock_timestamp()
        WHERE id = $1 AND status IN ('pending', 'failed', 'expired', 'cancelled')
        RETURNING *`,
    },

    encryptedOtherwise: {
      name: `${table}:encrypted-otherwise`,
      text: `
        SELECT * FROM "${table}"
        WHERE encryptor <> $1 AND id > $2
        ORDER BY id
        LIMIT $3`,
    },

    countEncryptedOtherwise: {
      name: `${table}:count-encrypted-otherwise`,
      text: `SELECT count(*) FROM "${table}" WHERE encryptor <> $1`,
    },

    allowReencryption: {
      name: 'async-gen:allow-reencryption',
      text: `SELECT set_config('async_gen.reencrypt', 'on', true)`,
    },

    // A row that runs, or that ended since it was read, is left for the next time.
    reencrypt: {
      name: `${table}:reencrypt`,
      text: `
        UPDATE "${table}" AS attempt SET
          args = row.args::jsonb,
          result = row.result::jsonb,
          errors = row.errors::jsonb,
          encryptor = $5
        FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS row (id, args, result, errors)
        WHERE attempt.id = row.id AND attempt.status <> 'running'
          AND jsonb_array_length(attempt.errors) = jsonb_array_length(row.errors::jsonb)
          AND (attempt.result IS NULL) = (row.result IS NULL)
        RETURNING attempt.id`,
    },

    // Dead workers' runs, those of nobody (a status that was changed by hand), and those that this process ($1) no longer has in
    // hand ($2, $3) because it could not store how they ended. A minute is far longer than the answer to a claim takes to arrive.
    // What somebody has locked has its turn the next time: that may be the very end of the run. A rescued call keeps its time, and
    // with it its place in the queue.
    rescue: {
      name: `${table}:rescue`,
      text: `
        WITH lost AS (
          SELECT id FROM "${table}"
          WHERE status = 'running' AND (
            locked_by IS NULL
            OR locked_by NOT IN (${livingWorkers})
            OR (
              locked_by = $1 AND started_at < clock_timestamp() - interval '1 minute'
              AND (id, num_attempts) NOT IN (SELECT * FROM unnest($2::bigint[], $3::int[]))
            )
          )
          LIMIT $4
          FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE "${table}" AS attempt SET
          status = CASE
            WHEN num_attempts < max_attempts THEN 'pending'
            WHEN num_attempts >= max_attempts THEN 'failed'
            ELSE status
          END,
          completed_at = CASE WHEN num_attempts < max_attempts THEN NULL ELSE clock_timestamp() END,
          scheduled_at = least(scheduled_at, clock_timestamp()),
          errors = errors || jsonb_build_object(
            'number', num_attempts,
            'at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'elapsed', coalesce(extract(epoch FROM clock_timestamp() - started_at), 0),
            'worker', locked_by,
            'name', 'WorkerDied',
            'message', 'The worker ended, or lost the database, before it could store how the call ended.'
          ),
          locked_by = NULL,
          updated_at = clock_timestamp()
        FROM lost
        WHERE attempt.id = lost.id
        RETURNING attempt.id`,
    },

    // A page of rows that are due, those first that are due for longest, after a row that was seen before ($2, $3).
    enqueueDue: {
      name: `${table}:enqueue-due`,
      text: `
        WITH due AS MATERIALIZED (
          SELECT id, scheduled_at, priority
          FROM "${table}"
          WHERE status = 'pending' AND scheduled_at <= now() AND (scheduled_at, id) > ($2::timestamptz, $3::bigint)
          ORDER BY scheduled_at, id
          LIMIT $4
        ), without_job AS MATERIALIZED (
          SELECT * FROM due
          WHERE NOT EXISTS (
            SELECT FROM graphile_worker.jobs
            WHERE key = $1 || ':' || due.id AND attempts < max_attempts
          )
        ), enqueued AS (
          SELECT
          FROM without_job, graphile_worker.add_job(
            $1, json_build_object('id', without_job.id::text),
            run_at => scheduled_at, job_key => $1 || ':' || without_job.id,
            priority => greatest(-32768, least(32767, -without_job.priority))
          )
        )
        SELECT
          (SELECT count(*)::int FROM enqueued) AS enqueued,
          (SELECT count(*)::int FROM due) AS seen,
          scheduled_at::text AS "scheduledAt",
          id
        FROM due
        ORDER BY due.scheduled_at DESC, id DESC
        LIMIT 1`,
    },
  }) satisfies Record<string, Statement>
