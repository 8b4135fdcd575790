import type { Database, Query, Statement, TransactionLike } from '../database.js'
import type { ErrorRecord } from '../errors.js'
import { livingWorkers } from '../presence.js'
import type { Json } from '../serialize.js'
import type { KeptTable } from '../upkeep.js'

export type AttemptStatus = 'pending' | 'running' | 'succeeded' | 'failed' | 'expired' | 'cancelled'

/** One failed run, as the row remembers it. */
export interface AttemptError extends ErrorRecord {
  /** Which run it was, from 1. */
  number: number
  /** When it failed, as an ISO 8601 text. */
  at: string
  /** How long it had run, in seconds. */
  elapsed: number
  /** The id of the worker that ran it. */
  worker: number
}

/** A row as PostgreSQL returns it: `id` and `parent_id` as text from pg, as bigint from Prisma. */
export interface AttemptRow {
  id: string | bigint
  target: string
  method: string
  args: Json
  encryptor: string | null
  status: AttemptStatus
  priority: number
  num_attempts: number
  max_attempts: number
  idempotence_token: string | null
  scheduled_at: Date
  started_at: Date | null
  completed_at: Date | null
  result: Json
  errors: AttemptError[]
  locked_by: number | null
  parent_id: string | bigint | null
  created_at: Date
  updated_at: Date
}

/** What `insert` takes: columns that are left out get the table's defaults. */
export interface NewAttempt {
  target: string
  method: string
  /** Serialized by `serialize`. */
  args: string
  priority?: number | undefined
  maxAttempts?: number | undefined
  idempotenceToken?: string | undefined
  scheduledAt?: Date | undefined
  parentId?: bigint | undefined
}

/** A run in progress: nobody but the worker that claimed it, in that run, may finish it. */
export interface Run {
  id: bigint
  number: number
  worker: number
}

/** The SQL of one table of attempts. */
export class AttemptStore implements KeptTable {
  readonly #db: Database
  readonly #task: string
  readonly #sql: ReturnType<typeof statements>

  /** @param task the Graphile Worker task that performs a row of the table */
  constructor(db: Database, table: string, task: string) {
    this.#db = db
    this.#task = task
    this.#sql = statements(table)
  }

  /**
   * Inserts a row, in the host's transaction if there is one. Returns nothing where the row's token is taken,
   * and where the transaction has ended.
   */
  async insert(attempt: NewAttempt, tx?: TransactionLike): Promise<AttemptRow | undefined> {
    const query = this.#on(tx)
    const transactionId = tx ? await this.#db.transactionId(tx) : null
    const [row] = await query<AttemptRow>(this.#sql.insert, [
      attempt.target,
      attempt.method,
      attempt.args,
      attempt.priority ?? null,
      attempt.maxAttempts ?? null,
      attempt.idempotenceToken ?? null,
      attempt.scheduledAt?.toISOString() ?? null,
      attempt.parentId?.toString() ?? null,
      transactionId,
    ])
    return row
  }

  async findByToken(attempt: NewAttempt, tx?: TransactionLike): Promise<AttemptRow | undefined> {
    const [row] = await this.#on(tx)<AttemptRow>(this.#sql.findByToken, [
      attempt.target,
      attempt.method,
      attempt.idempotenceToken,
    ])
    return row
  }

  async find(id: bigint): Promise<AttemptRow | undefined> {
    const [row] = await this.#db.query<AttemptRow>(this.#sql.find, [id])
    return row
  }

  /** Takes a row that is pending and due, and counts the run. Committed at once, so that a crash counts too. */
  async claim(id: bigint, worker: number): Promise<AttemptRow | undefined> {
    const [row] = await this.#db.query<AttemptRow>(this.#sql.claim, [id, worker])
    return row
  }

  /** Stores the result, as the last statement of the call's transaction if it has one. */
  async succeed(run: Run, result: string, tx?: TransactionLike): Promise<AttemptRow | undefined> {
    const values = [run.id.toString(), run.number, run.worker, result]
    const [row] = await this.#on(tx)<AttemptRow>(this.#sql.succeed, values)
    return row
  }

  /** Sends a run back to wait, `delay` milliseconds from now; an error, where one is given, is added to its errors. */
  async retry(run: Run, delay: number, error?: AttemptError): Promise<AttemptRow | undefined> {
    const values = [run.id, run.number, run.worker, delay, JSON.stringify(error ? [error] : [])]
    const [row] = await this.#db.query<AttemptRow>(this.#sql.retry, values)
    return row
  }

  /** Ends a run for good. */
  async giveUp(run: Run, error: AttemptError): Promise<AttemptRow | undefined> {
    const values = [run.id, run.number, run.worker, JSON.stringify([error])]
    const [row] = await this.#db.query<AttemptRow>(this.#sql.giveUp, values)
    return row
  }

  /** Ends a row that is pending. */
  async end(id: bigint, status: 'expired' | 'failed' | 'cancelled'): Promise<AttemptRow | undefined> {
    const [row] = await this.#db.query<AttemptRow>(this.#sql.end, [id, status])
    return row
  }

  /** Sends the runs of dead workers back to wait, or fails those that had their last run. */
  async rescue(query: Query = this.#db.query): Promise<number> {
    return (await query(this.#sql.rescue, [])).length
  }

  /** Gives a job to every row that is due and has none, a thousand at a time. Returns how many there were. */
  async enqueueDue(query: Query = this.#db.query): Promise<number> {
    return (await query(this.#sql.enqueueDue, [this.#task])).length
  }

  #on(tx: TransactionLike | undefined): Query {
    return tx ? this.#db.within(tx) : this.#db.query
  }
}

const statements = (table: string) =>
  ({
    insert: {
      name: `${table}:insert`,
      text: `
        INSERT INTO "${table}" (
          target, method, args, priority, max_attempts, idempotence_token, scheduled_at, parent_id
        )
        SELECT
          $1, $2, $3::jsonb, coalesce($4::int, 10), coalesce($5::int, 25), $6,
          coalesce($7::timestamptz, now()), $8::bigint
        WHERE $9::text IS NULL OR $9 = pg_current_xact_id_if_assigned()::text
        ON CONFLICT (target, method, idempotence_token) DO NOTHING
        RETURNING *`,
    },

    findByToken: {
      name: `${table}:find-by-token`,
      text: `
        SELECT * FROM "${table}"
        WHERE target = $1 AND method = $2 AND idempotence_token = $3`,
    },

    find: {
      name: `${table}:find`,
      text: `SELECT * FROM "${table}" WHERE id = $1`,
    },

    claim: {
      name: `${table}:claim`,
      text: `
        UPDATE "${table}" SET
          status = 'running',
          num_attempts = num_attempts + 1,
          locked_by = $2,
          started_at = clock_timestamp(),
          updated_at = clock_timestamp()
        WHERE id = $1 AND status = 'pending' AND scheduled_at <= clock_timestamp()
        RETURNING *`,
    },

    succeed: {
      name: `${table}:succeed`,
      text: `
        UPDATE "${table}" SET
          status = 'succeeded',
          result = $4::jsonb,
          locked_by = NULL,
          completed_at = clock_timestamp(),
          updated_at = clock_timestamp()
        WHERE id = $1::bigint AND status = 'running' AND num_attempts = $2 AND locked_by = $3
        RETURNING *`,
    },

    retry: {
      name: `${table}:retry`,
      text: `
        UPDATE "${table}" SET
          status = 'pending',
          scheduled_at = clock_timestamp() + $4 * interval '1 millisecond',
          errors = errors || $5::jsonb,
          locked_by = NULL,
          updated_at = clock_timestamp()
        WHERE id = $1 AND status = 'running' AND num_attempts = $2 AND locked_by = $3
        RETURNING *`,
    },

    giveUp: {
      name: `${table}:give-up`,
      text: `
        UPDATE "${table}" SET
          status = 'failed',
          errors = errors || $4::jsonb,
          locked_by = NULL,
          completed_at = clock_timestamp(),
          updated_at = clock_timestamp()
        WHERE id = $1 AND status = 'running' AND num_attempts = $2 AND locked_by = $3
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

    rescue: {
      name: `${table}:rescue`,
      text: `
        UPDATE "${table}" SET
          status = CASE
            WHEN num_attempts < max_attempts THEN 'pending'
            WHEN num_attempts >= max_attempts THEN 'failed'
            ELSE status
          END,
          completed_at = CASE WHEN num_attempts < max_attempts THEN NULL ELSE clock_timestamp() END,
          scheduled_at = clock_timestamp(),
          errors = errors || jsonb_build_object(
            'number', num_attempts,
            'at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'elapsed', extract(epoch FROM clock_timestamp() - started_at),
            'worker', locked_by,
            'name', 'WorkerDied',
            'message', 'The worker ended before the call did.'
          ),
          locked_by = NULL,
          updated_at = clock_timestamp()
        WHERE status = 'running' AND locked_by NOT IN (${livingWorkers})
        RETURNING id`,
    },

    enqueueDue: {
      name: `${table}:enqueue-due`,
      text: `
        WITH due AS (
          SELECT id, scheduled_at, priority
          FROM "${table}"
          WHERE status = 'pending' AND scheduled_at <= now() AND NOT EXISTS (
            SELECT FROM graphile_worker.jobs
            WHERE key = $1 || ':' || "${table}".id AND attempts < max_attempts
          )
          ORDER BY id
          LIMIT 1000
        )
        SELECT (
          graphile_worker.add_job(
            $1, json_build_object('id', id::text),
            run_at => scheduled_at, job_key => $1 || ':' || id,
            priority => greatest(-32768, least(32767, -priority))
          )
        ).id
        FROM due`,
    },
  }) satisfies Record<string, Statement>
