import DataLoader from 'dataloader'
import type { Database, Query, Statement } from '../database.js'
import type { ErrorRecord } from '../errors.js'
import { livingWorkers } from '../presence.js'
import type { Json } from '../serialize.js'
import type { KeptTable } from '../upkeep.js'

/** Which toast: the name under which its method is registered, and the key of its parent. */
export interface ToastId {
  name: string
  key: string
}

/** A row of `toasts`: the state of the value, then the state of its refresh. */
export interface ToastRow extends ToastId {
  id: string
  value: Json
  /** What the parent's version was before the value was computed. */
  version: string | null
  /** When the computation of the value began; null where there is no value yet. */
  cached_at: Date | null
  /** How long the computation took, in seconds. */
  elapsed: number | null

  /** The Graphile Worker task that refreshes it. */
  task: string
  /** When the next refresh is due; null where none is wanted. */
  refresh_at: Date | null
  /** The version that the reader who asked for the refresh had seen. */
  wanted_version: string | null
  /** The worker that computes at this moment. */
  locked_by: number | null
  /** Counts the refreshes: only the latest may write. */
  run: number
  /** How many refreshes have failed since the last success. */
  failures: number
  /** The last failure since the last success. */
  error: ErrorRecord | null
}

/** What a reader asks for. */
interface Request {
  /** The Graphile Worker task that is to refresh it. */
  task: string
  /** The parent's version that the reader has seen. */
  version: string | null
}

/** A refresh in progress. */
export interface Refresh extends ToastId {
  run: number
  worker: number
  wantedVersion: string | null
  failures: number
}

export interface NewValue {
  /** Serialized by `serialize`. */
  value: string
  version: string | null
  cachedAt: Date
  /** Seconds. */
  elapsed: number
}

/** The SQL of the table `toasts`. */
export class ToastStore implements KeptTable {
  readonly kind = 'toasts'
  readonly table = 'toasts'
  readonly #db: Database
  readonly #reads: DataLoader<ToastId, ToastRow | undefined>

  constructor(db: Database) {
    this.#db = db
    this.#reads = new DataLoader((ids) => this.#readMany(ids), { cache: false })
  }

  /** The row of a toast. Reads in one tick become one query. */
  async read(id: ToastId): Promise<ToastRow | undefined> {
    return await this.#reads.load(id)
  }

  /** Asks for a refresh, unless one is wanted already; a running one is told of the newer version. */
  async request({ name, key }: ToastId, { task, version }: Request): Promise<void> {
    await this.#db.query(statements.request, [name, key, task, version])
  }

  /** Takes a refresh that is due. Nothing where it is not due, or somebody computes it already. */
  async claim({ name, key }: ToastId, worker: number): Promise<Refresh | undefined> {
    const [row] = await this.#db.query<ToastRow>(statements.claim, [name, key, worker])
    return row && { name, key, run: row.run, worker, wantedVersion: row.wanted_version, failures: row.failures }
  }

  /** Stores a value, unless the refresh was taken over meanwhile. Returns whether it was stored. */
  async store(refresh: Refresh, { value, version, cachedAt, elapsed }: NewValue): Promise<boolean> {
    const { name, key, run, worker, wantedVersion } = refresh
    const values = [name, key, run, worker, value, version, cachedAt, elapsed, wantedVersion]
    return (await this.#db.query(statements.store, values)).length === 1
  }

  /** Records a failure and when to try again, `delay` milliseconds from now. The value stays as it is. */
  async postpone({ name, key, run, worker }: Refresh, error: ErrorRecord, delay: number): Promise<void> {
    await this.#db.query(statements.postpone, [name, key, run, worker, JSON.stringify(error), delay])
  }

  /** Removes a toast whose parent is gone. */
  async remove({ name, key }: ToastId): Promise<void> {
    await this.#db.query(statements.remove, [name, key])
  }

  async rescue(query: Query = this.#db.query): Promise<number> {
    return (await query(statements.rescue, [])).length
  }

  async enqueueDue(query: Query = this.#db.query): Promise<number> {
    return (await query(statements.enqueueDue, [])).length
  }

  async #readMany(ids: readonly ToastId[]): Promise<(ToastRow | undefined)[]> {
    const names = ids.map((id) => id.name)
    const keys = ids.map((id) => id.key)
    const rows = await this.#db.query<ToastRow>(statements.read, [names, keys])
    const found = new Map(rows.map((row) => [`${row.name}\0${row.key}`, row]))
    return ids.map((id) => found.get(`${id.name}\0${id.key}`))
  }
}

const statements = {
  read: {
    name: 'toasts:read',
    text: `
      SELECT toasts.*
      FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) AS id (name, key)) AS wanted
      JOIN toasts USING (name, key)`,
  },

  request: {
    name: 'toasts:request',
    text: `
      INSERT INTO toasts AS toast (name, key, task, wanted_version, refresh_at)
      VALUES ($1, $2, $3, $4, clock_timestamp())
      ON CONFLICT (name, key) DO UPDATE SET
        wanted_version = excluded.wanted_version,
        refresh_at = coalesce(toast.refresh_at, clock_timestamp()),
        updated_at = clock_timestamp()
      WHERE toast.refresh_at IS NULL
        OR (toast.locked_by IS NOT NULL AND toast.wanted_version IS DISTINCT FROM excluded.wanted_version)`,
  },

  claim: {
    name: 'toasts:claim',
    text: `
      UPDATE toasts SET
        locked_by = $3,
        run = run + 1,
        updated_at = clock_timestamp()
      WHERE name = $1 AND key = $2 AND locked_by IS NULL AND refresh_at <= clock_timestamp()
      RETURNING *`,
  },

  // A reader who saw a newer version while the value was computed asked for one more refresh.
  store: {
    name: 'toasts:store',
    text: `
      UPDATE toasts SET
        value = $5::jsonb,
        version = $6,
        cached_at = $7,
        elapsed = $8,
        refresh_at = CASE
          WHEN wanted_version IS DISTINCT FROM $9 AND wanted_version IS DISTINCT FROM $6 THEN clock_timestamp()
        END,
        locked_by = NULL,
        failures = 0,
        error = NULL,
        updated_at = clock_timestamp()
      WHERE name = $1 AND key = $2 AND run = $3 AND locked_by = $4
      RETURNING id`,
  },

  postpone: {
    name: 'toasts:postpone',
    text: `
      UPDATE toasts SET
        refresh_at = clock_timestamp() + $6 * interval '1 millisecond',
        locked_by = NULL,
        failures = failures + 1,
        error = $5::jsonb,
        updated_at = clock_timestamp()
      WHERE name = $1 AND key = $2 AND run = $3 AND locked_by = $4`,
  },

  remove: {
    name: 'toasts:remove',
    text: 'DELETE FROM toasts WHERE name = $1 AND key = $2',
  },

  rescue: {
    name: 'toasts:rescue',
    text: `
      UPDATE toasts SET
        refresh_at = clock_timestamp() + least(power(2, failures), 3600) * interval '1 second',
        locked_by = NULL,
        failures = failures + 1,
        error = '{"name": "WorkerDied", "message": "The worker ended before the value was computed."}',
        updated_at = clock_timestamp()
      WHERE locked_by NOT IN (${livingWorkers})
      RETURNING id`,
  },

  enqueueDue: {
    name: 'toasts:enqueue-due',
    text: `
      WITH due AS (
        SELECT id, name, key, task, refresh_at
        FROM toasts
        WHERE refresh_at <= now() AND locked_by IS NULL AND NOT EXISTS (
          SELECT FROM graphile_worker.jobs AS job
          WHERE job.key = 'toast:' || toasts.id AND job.attempts < job.max_attempts
        )
        ORDER BY id
        LIMIT 1000
      )
      SELECT (
        graphile_worker.add_job(
          task, json_build_object('name', name, 'key', key),
          run_at => refresh_at, job_key => 'toast:' || id
        )
      ).id
      FROM due`,
  },
} satisfies Record<string, Statement>
