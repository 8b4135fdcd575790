import { livingWorkers } from '../core/living-workers.js'
import type { Statement } from '../core/statement.js'

/** The last number that a column of type integer holds. */
const LAST_INTEGER = 2_147_483_647

/** A column as Prisma is to read it. */
interface ReadColumn {
  column: string
  /** Prisma's type: `DateTime`. */
  type: string
}

/**
 * The columns of the generated table, but for those that only the host's fields tell. A time comes as JSON: a driver adapter of Prisma's
 * reads others wrong where TimeZone is not UTC, or DateStyle not ISO.
 */
const COLUMNS: readonly ReadColumn[] = [
  ...[
    'id',
    'type',
    'target',
    'method',
    'args',
    'encryptor',
    'status',
    'priority',
    'num_attempts',
    'max_attempts',
    'idempotence_token',
    'result',
    'errors',
    'locked_by',
    'parent_id',
    'trace_context',
  ].map((column) => ({ column, type: '' })),
  ...['scheduled_at', 'started_at', 'completed_at', 'created_at', 'updated_at'].map((column) => ({
    column,
    type: 'DateTime',
  })),
]

/** What is returned to Prisma: the columns of the generated table, and those of the host's own fields. */
function columnsWithin(table: string, fields: readonly ReadColumn[]): string {
  const added = fields.filter(({ column }) => !COLUMNS.some((own) => own.column === column))
  return [...COLUMNS, ...added]
    .map(({ column, type }) => {
      const name = `${table}.${quote(column)}`
      return type === 'DateTime' ? `to_json(${name}) AS ${quote(column)}` : name
    })
    .join(', ')
}

/**
 * Inserts the calls of a JSON array, unless the host's transaction has ended ($2). A call without a time gets the time at which it
 * is recorded, and never that of the one before it: the queue knows no order among calls of the same time.
 * @param extra columns that the host has added and that are given
 * @param within the fields of the model, where Prisma reads what is returned
 */
export function insertStatement(table: string, extra: string[], within?: readonly ReadColumn[]): Statement {
  const columns = extra.map((column) => `, ${quote(column)}`).join('')
  const values = extra
    .map((column) => `, (jsonb_populate_record(NULL::"${table}", call.data)).${quote(column)}`)
    .join('')
  return {
    name: `${table}:insert${within ? '-within' : ''}${columns}`,
    once: true,
    text: `
      INSERT INTO "${table}" (
        id, type, target, method, args, encryptor, priority, max_attempts, idempotence_token, scheduled_at, parent_id,
        trace_context${columns}
      )
      SELECT
        coalesce(call.id, nextval(pg_get_serial_sequence('"${table}"', 'id'))),
        call.type, call.target, call.method, call.args::jsonb, call.encryptor,
        coalesce(call.priority, 10), coalesce(call."maxAttempts", 25), call."idempotenceToken",
        coalesce(call."scheduledAt", clock_timestamp() + call.ordinality * interval '1 microsecond'),
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
      RETURNING ${within ? columnsWithin(quote(table), within) : '*'}`,
  }
}

export function findByTokensStatement(table: string, within?: readonly ReadColumn[]): Statement {
  return {
    name: `${table}:find-by-tokens${within ? '-within' : ''}`,
    text: `
      SELECT ${within ? columnsWithin('attempt', within) : 'attempt.*'}
      FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (target, method, idempotence_token)
      JOIN "${table}" AS attempt USING (target, method, idempotence_token)`,
  }
}

/** The column errors as a list, and one more error in it. */
function errorsWith(name: string, message: string): string {
  return `
              CASE WHEN jsonb_typeof(errors) = 'array' THEN errors ELSE '[]' END || jsonb_build_object(
                'number', num_attempts,
                'at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'elapsed', 0,
                'worker', $2::int,
                'name', '${name}',
                'message', ${message}
              )`
}

function quote(column: string): string {
  return `"${column.replaceAll('"', '""')}"`
}

/** The errors with one more ($4), where there is one. Its time is that of the database. */
const errorsWithNew = `errors || CASE
            WHEN $4::jsonb IS NULL THEN '[]'
            ELSE jsonb_build_object(
              'at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
            ) || $4::jsonb
          END`

/** The statements of one table of attempts. */
export const statements = (table: string) =>
  ({
    reserveIds: {
      name: `${table}:reserve-ids`,
      text: `
        SELECT nextval(pg_get_serial_sequence(quote_ident($1), 'id'))::text AS id
        FROM generate_series(1, $2::int)`,
    },

    find: {
      name: `${table}:find`,
      text: `SELECT * FROM "${table}" WHERE id = $1 AND ($2::text[] IS NULL OR type = ANY ($2))`,
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
          AND ($6::text[] IS NULL OR type = ANY ($6))
        ORDER BY id DESC
        LIMIT $7`,
    },

    count: {
      name: `${table}:count`,
      text: `
        SELECT count(*) FROM "${table}"
        WHERE ($1::text IS NULL OR status::text = $1)
          AND ($2::text IS NULL OR target = $2)
          AND ($3::text IS NULL OR method = $3)
          AND ($4::text IS NULL OR idempotence_token = $4)
          AND ($5::bigint IS NULL OR parent_id = $5)
          AND ($6::text[] IS NULL OR type = ANY ($6))`,
    },

    // By id, always: were the status compared as an enum, the planner might go through the index of all that is due. A row that
    // somebody else has locked is passed by, so that it holds up none of the others. Rows that were written by hand are put right
    // here: one whose runs cannot be counted any further fails, and errors that are no list become one.
    claim: {
      name: `${table}:claim`,
      once: true,
      text: `
        UPDATE "${table}" SET
          status = CASE
            WHEN num_attempts < ${LAST_INTEGER} THEN 'running'
            WHEN num_attempts = ${LAST_INTEGER} THEN 'failed'
            ELSE status
          END,
          num_attempts = greatest(least(num_attempts, ${LAST_INTEGER - 1}), -1) + 1,
          locked_by = CASE WHEN num_attempts < ${LAST_INTEGER} THEN $2::int END,
          started_at = clock_timestamp(),
          completed_at = CASE WHEN num_attempts = ${LAST_INTEGER} THEN clock_timestamp() END,
          errors = CASE
            WHEN num_attempts = ${LAST_INTEGER} THEN ${errorsWith('TooManyRuns', `'num_attempts is ${LAST_INTEGER}: further runs cannot be counted.'`)}
            WHEN jsonb_typeof(errors) <> 'array' THEN ${errorsWith('InvalidErrors', `'The column errors held no list, but: ' || left(errors::text, 1000)`)}
            ELSE errors
          END,
          updated_at = clock_timestamp()
        WHERE id IN (
          SELECT id FROM "${table}"
          WHERE id = ANY ($1::bigint[]) AND status::text = 'pending' AND scheduled_at <= clock_timestamp()
          FOR NO KEY UPDATE SKIP LOCKED
        )
        RETURNING *`,
    },

    // What a claim took whose answer was lost.
    claimed: {
      name: `${table}:claimed`,
      text: `SELECT * FROM "${table}" WHERE id = ANY ($1::bigint[]) AND locked_by = $2 AND status::text = 'running'`,
    },

    // A run that was not at fault is not counted. Those that this process has in hand ($4, $5) go on.
    release: {
      name: `${table}:release`,
      longRetry: true,
      text: `
        UPDATE "${table}" SET
          status = 'pending',
          num_attempts = num_attempts - 1,
          scheduled_at = CASE WHEN $3::float8 > 0 THEN clock_timestamp() + $3 * interval '1 millisecond' ELSE scheduled_at END,
          locked_by = NULL,
          updated_at = clock_timestamp()
        WHERE id IN (
          SELECT id FROM "${table}"
          WHERE id = ANY ($1::bigint[]) AND locked_by = $2 AND status::text = 'running'
            AND (id, num_attempts) NOT IN (SELECT * FROM unnest($4::bigint[], $5::int[]))
          FOR NO KEY UPDATE SKIP LOCKED
        )
        RETURNING id`,
    },

    isDue: {
      name: `${table}:is-due`,
      text: `SELECT FROM "${table}" WHERE id = $1 AND status::text = 'pending' AND scheduled_at <= clock_timestamp()`,
    },

    succeed: {
      name: `${table}:succeed`,
      longRetry: true,
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

    // Waits for a transaction of the run that may still be about to commit.
    hasSucceeded: {
      name: `${table}:has-succeeded`,
      text: `
        SELECT status::text = 'succeeded' AND num_attempts = $2 AS succeeded
        FROM "${table}" WHERE id = $1
        FOR NO KEY UPDATE`,
    },

    // A run that was interrupted ($5 is 0) keeps its time, and with it its place in the queue.
    fail: {
      name: `${table}:fail`,
      longRetry: true,
      text: `
        UPDATE "${table}" SET
          status = CASE WHEN $5::float8 IS NULL THEN 'failed' WHEN $5 IS NOT NULL THEN 'pending' ELSE status END,
          scheduled_at = CASE WHEN $5 > 0 THEN clock_timestamp() + $5 * interval '1 millisecond' ELSE scheduled_at END,
          completed_at = CASE WHEN $5 IS NULL THEN clock_timestamp() END,
          errors = ${errorsWithNew},
          locked_by = NULL,
          updated_at = clock_timestamp()
        WHERE id = $1 AND num_attempts = $2 AND locked_by = $3 AND status::text = 'running'
        RETURNING *`,
    },

    endRun: {
      name: `${table}:end-run`,
      longRetry: true,
      text: `
        UPDATE "${table}" SET
          status = $5,
          scheduled_at = coalesce(clock_timestamp() + $6::float8 * interval '1 millisecond', scheduled_at),
          max_attempts = CASE WHEN $6 IS NULL THEN max_attempts ELSE greatest(max_attempts, num_attempts + 1) END,
          completed_at = CASE WHEN $6 IS NULL THEN clock_timestamp() END,
          errors = ${errorsWithNew},
          locked_by = NULL,
          updated_at = clock_timestamp()
        WHERE id = $1 AND num_attempts = $2 AND locked_by = $3 AND status::text = 'running'
        RETURNING *`,
    },

    end: {
      name: `${table}:end`,
      once: true,
      text: `
        UPDATE "${table}" SET
          status = $2,
          completed_at = clock_timestamp(),
          updated_at = clock_timestamp()
        WHERE id = $1 AND status = 'pending' AND ($3::int IS NULL OR num_attempts = $3)
        RETURNING *`,
    },

    cancel: {
      name: `${table}:cancel`,
      once: true,
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
      once: true,
      text: `
        UPDATE "${table}" SET
          status = 'pending',
          scheduled_at = clock_timestamp() + $2::float8 * interval '1 millisecond',
          max_attempts = greatest(max_attempts, least(num_attempts, ${LAST_INTEGER - 1}) + 1),
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
              locked_by = $1
              AND (started_at BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp() + interval '1 minute') IS NOT TRUE
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
          errors = CASE WHEN jsonb_typeof(errors) = 'array' THEN errors ELSE '[]' END || jsonb_build_object(
            'number', num_attempts,
            'at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'elapsed', coalesce(extract(epoch FROM clock_timestamp() - CASE WHEN isfinite(started_at) THEN started_at END), 0),
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

    // A page of rows that are due, those first that are due for longest, after a row that was seen before ($2, $3). A job that has been
    // locked for a minute while its row still waits counts as lost: its worker has died late, or never got the answer to its
    // fetch. Where it was only fetched ahead, the second job finds nothing to do.
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
              AND (locked_at IS NULL OR locked_at > now() - interval '1 minute')
          )
        ), enqueued AS (
          SELECT
          FROM (
            SELECT array_agg((
              $1,
              json_build_object('id', id::text),
              NULL,
              scheduled_at,
              NULL,
              $1 || ':' || id,
              greatest(-32768, least(32767, -priority::bigint)),
              NULL
            )::graphile_worker.job_spec ORDER BY priority DESC, scheduled_at, id) AS jobs
            FROM without_job
            HAVING count(*) > 0
          ) AS page, graphile_worker.add_jobs(page.jobs)
        )
        SELECT
          (SELECT count(*)::int FROM enqueued) AS enqueued,
          (SELECT count(*)::int FROM due) AS seen,
          to_json(scheduled_at) #>> '{}' AS "scheduledAt",
          id
        FROM due
        ORDER BY due.scheduled_at DESC, id DESC
        LIMIT 1`,
    },
  }) satisfies Record<string, Statement>
