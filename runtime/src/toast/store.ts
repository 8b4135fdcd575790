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

/** A row of `toasts` as readers see it: the value, and of its refresh what there is to say. */
export interface ToastRow {
  value: Json
  /** What the parent's version was before the value was computed. */
  version: string | null
  /** Whether something has made the value stale since its computation began, whatever its version and its age. */
  invalidated: boolean
  /** When the computation of the value began; null where there is no value yet. */
  cached_at: Date | null
  /** How long the computation took, in seconds. */
  elapsed: number | null
  /** When the value is as good as none. */
  expires_at: Date | null
  /** Counts the refreshes: only the latest may write. */
  run: number
  /** Null where none is wanted, and the last one did not fail. */
  refresh: RefreshState | null
}

interface RefreshState {
  /** Whether it is still to be carried out, now or later. */
  wanted: boolean
  /** The version that the reader who asked for it had seen. */
  wanted_version: string | null
  /** Whether the value was invalidated again since it was asked for, or since it began. */
  behind: boolean
  /** The worker that computes at this moment. */
  locked_by: number | null
  /** How far the computation says it is, from 0 to 1. */
  progress: number | null
  /** How many refreshes have failed since the last success. */
  failures: number
  /** The last failure since the last success. */
  error: ErrorRecord | null
}

/** What a reader asks for. */
export interface Request extends ToastId {
  /** The Graphile Worker task that is to refresh it. */
  task: string
  /** The parent's version that the reader has seen. */
  version: string | null
  /** Serialized by `serialize`. */
  args?: string
  /** Milliseconds. */
  expiresIn?: number | undefined
}

interface SeenRequest extends Request {
  /** The run that the row was in when the reader saw it. */
  seenRun: number
}

/** A refresh in progress: nobody but the worker that claimed it, in that run, may finish it. */
export interface Refresh extends ToastId {
  /** The Graphile Worker task that refreshes the row. */
  task: string
  run: number
  worker: number
  args: Json
  epoch: number
  wantedVersion: string | null
  failures: number
  /** Whether this is the first value that the row gets. */
  first: boolean
}

export interface NewValue {
  /** Serialized by `serialize`. */
  value: string
  version: string | null
  cachedAt: Date
  /** Seconds. */
  elapsed: number
  /** Whether the value may have been computed from data that somebody was about to change: it counts as invalidated. */
  doubtful: boolean
}

/** As much of a row as tells whether anybody needs it. */
export interface StoredToast extends ToastId {
  id: string
  updated_at: Date
}

/** How many rows one statement of the upkeep touches at most. */
export const BATCH = 1000

/** The SQL of the table `toasts`. */
export class ToastStore implements KeptTable {
  readonly kind = 'toasts'
  readonly table = 'toasts'
  readonly #db: Database
  readonly #reads: DataLoader<ToastId, ToastRow | undefined>
  readonly #requests: DataLoader<SeenRequest, undefined>

  constructor(db: Database) {
    this.#db = db
    this.#reads = new DataLoader((ids) => this.#read(ids), { cache: false })
    this.#requests = new DataLoader((requests) => this.#request(requests, db.query), { cache: false })
  }

  /** The row of a toast. Reads in one tick become one query; a read in a transaction of the host's is one of its own. */
  async read(id: ToastId, query?: Query): Promise<ToastRow | undefined> {
    return query ? (await this.#read([id], query))[0] : await this.#reads.load(id)
  }

  /**
   * Asks for a refresh, unless one is wanted already, or has been carried out since the reader saw the row in that run; a
   * running one is told of a newer version or invalidation. Requests in one tick become one statement.
   */
  async request(request: Request, seenRun: number, query?: Query): Promise<void> {
    const seen = { ...request, seenRun }
    if (query) await this.#request([seen], query)
    else await this.#requests.load(seen)
  }

  /** Makes the value stale and asks for a refresh as soon as can be, also where the next try was to come later. */
  async expire({ name, key, task, version }: Request, query: Query = this.#db.query): Promise<void> {
    await query(statements.expire, [name, key, task, version])
  }

  /** Takes a refresh that is due. Nothing where it is not due, or somebody computes it already. */
  async claim({ name, key }: ToastId, worker: number): Promise<Refresh | undefined> {
    const [refresh] = await this.#db.query<Refresh>(statements.claim, [name, key, worker])
    return refresh
  }

  /**
   * Takes a refresh whether it is due or not, for a reader who computes by itself. Nothing where somebody computes it
   * already, or has done so since the reader saw the row in that run.
   */
  async take(request: Request, worker: number, seenRun: number): Promise<Refresh | undefined> {
    const { name, key, task, version, args, expiresIn } = request
    const values = [name, key, task, version, args ?? null, expiresIn ?? null, worker, seenRun]
    const [refresh] = await this.#db.query<Refresh>(statements.take, values)
    return refresh
  }

  /**
   * Whether a transaction is open at this moment that has written to a table with an invalidating trigger. What it has
   * changed cannot be seen yet, and its trigger may have run before the row was there to be marked.
   */
  async changesAhead(): Promise<boolean> {
    const [found] = await this.#db.query<{ ahead: boolean }>(statements.changesAhead, [])
    return found!.ahead
  }

  /** Stores a value, unless the refresh was taken over meanwhile. Returns whether it was stored. */
  async store(refresh: Refresh, { value, version, cachedAt, elapsed, doubtful }: NewValue): Promise<boolean> {
    const { name, key, run, worker, epoch, wantedVersion } = refresh
    const valueEpoch = doubtful ? epoch - 1 : epoch
    const values = [name, key, run, worker, value, version, valueEpoch, cachedAt, elapsed, wantedVersion]
    return (await this.#db.query(statements.store, values)).length === 1
  }

  /** Notes how far a computation is. Returns false where it was taken over meanwhile. */
  async advance({ name, key, run, worker }: Refresh, progress: number): Promise<boolean> {
    return (await this.#db.query(statements.advance, [name, key, run, worker, progress])).length === 1
  }

  /** Records a failure and when to try again, `delay` milliseconds from now; null: at the next request. The value stays. */
  async postpone({ name, key, run, worker }: Refresh, error: ErrorRecord, delay: number | null): Promise<void> {
    await this.#db.query(statements.postpone, [name, key, run, worker, JSON.stringify(error), delay])
  }

  /** Gives a refresh back as if it had not been begun. */
  async release({ name, key, run, worker }: Refresh): Promise<void> {
    await this.#db.query(statements.release, [name, key, run, worker])
  }

  /** Removes a toast whose parent is gone. */
  async remove({ name, key }: ToastId): Promise<void> {
    await this.#db.query(statements.remove, [name, key])
  }

  /** Removes all toasts of a name, in all versions of its code. Returns how many there were. */
  async clear(name: string): Promise<number> {
    return (await this.#db.query(statements.clear, [name])).length
  }

  /** Removes everything that functions have cached. Returns how many entries there were. */
  async clearCached(): Promise<number> {
    return (await this.#db.query(statements.clearCached, [])).length
  }

  /** The next toasts after an id, a thousand of them at most. */
  async page(after: string): Promise<StoredToast[]> {
    return await this.#db.query<StoredToast>(statements.page, [after, BATCH])
  }

  /** Removes toasts by their ids, but for those that somebody computes at this moment. Returns how many. */
  async forget(ids: string[]): Promise<number> {
    return ids.length === 0 ? 0 : (await this.#db.query(statements.forget, [ids])).length
  }

  async rescue(query: Query = this.#db.query): Promise<number> {
    return (await query(statements.rescue, [])).length
  }

  async enqueueDue(query: Query = this.#db.query): Promise<number> {
    return (await query(statements.enqueueDue, [BATCH])).length
  }

  /** Removes values that have had their time. Returns how many, one batch at most. */
  async pruneExpired(query: Query = this.#db.query): Promise<number> {
    return (await query(statements.pruneExpired, [BATCH])).length
  }

  async #read(ids: readonly ToastId[], query: Query = this.#db.query): Promise<(ToastRow | undefined)[]> {
    if (ids.length === 1) return [(await query<ToastRow>(statements.readOne, [ids[0]!.name, ids[0]!.key]))[0]]
    const rows = await query<ToastRow & ToastId>(statements.readMany, [
      ids.map(({ name }) => name),
      ids.map(({ key }) => key),
    ])
    const found = new Map(rows.map((row) => [textOf(row), row]))
    return ids.map((id) => found.get(textOf(id)))
  }

  async #request(requests: readonly SeenRequest[], query: Query): Promise<undefined[]> {
    const distinct = [...new Map(requests.map((request) => [textOf(request), request])).values()]
    const wanted = distinct.map(({ name, key, task, version, args, expiresIn, seenRun }) => {
      return { name, key, task, version, args: args ?? null, expires_in: expiresIn ?? null, seen_run: seenRun }
    })
    await query(statements.request, [JSON.stringify(wanted)])
    return requests.map(() => undefined)
  }
}

/** A toast's name and key as one text. */
export function textOf({ name, key }: ToastId): string {
  return `${name}\0${key}`
}

// Few columns, as reading a row takes as long as it has columns; named one by one, as a prepared `SELECT *` breaks on open
// connections when a migration adds a column.
const seen = `
  value, version, epoch IS DISTINCT FROM value_epoch AS invalidated, cached_at, elapsed, expires_at, run,
  CASE WHEN refresh_at IS NOT NULL OR failures > 0 THEN
    json_build_object(
      'wanted', refresh_at IS NOT NULL, 'wanted_version', wanted_version, 'behind', wanted_epoch < epoch,
      'locked_by', locked_by, 'progress', progress, 'failures', failures, 'error', error
    )
  END AS refresh`

const claimed = `
  name, key, task, run, locked_by AS worker, args, epoch, failures,
  wanted_version AS "wantedVersion", cached_at IS NULL AS first`

const statements = {
  readOne: {
    name: 'toasts:read-one',
    text: `SELECT ${seen} FROM toasts WHERE name = $1 AND key = $2`,
  },

  readMany: {
    name: 'toasts:read-many',
    text: `
      SELECT name, key, ${seen}
      FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) AS id (name, key)) AS wanted
      JOIN toasts USING (name, key)`,
  },

  // In one order for everybody, so that no two requests wait for each other.
  request: {
    name: 'toasts:request',
    text: `
      INSERT INTO toasts AS toast (name, key, task, args, expires_in, wanted_version, run, refresh_at)
      SELECT name, key, task, args::jsonb, expires_in, version, seen_run, clock_timestamp()
      FROM jsonb_to_recordset($1::jsonb)
        AS wanted (name text, key text, task text, args text, expires_in double precision, version text, seen_run integer)
      ORDER BY key, name
      ON CONFLICT (key, name) DO UPDATE SET
        args = excluded.args,
        expires_in = excluded.expires_in,
        wanted_version = excluded.wanted_version,
        wanted_epoch = toast.epoch,
        refresh_at = coalesce(toast.refresh_at, clock_timestamp()),
        updated_at = clock_timestamp()
      WHERE toast.run = excluded.run AND (
        toast.refresh_at IS NULL
        OR toast.wanted_version IS DISTINCT FROM excluded.wanted_version
        OR toast.wanted_epoch < toast.epoch
      )`,
  },

  expire: {
    name: 'toasts:expire',
    text: `
      INSERT INTO toasts AS toast (name, key, task, wanted_version, refresh_at)
      VALUES ($1, $2, $3, $4, clock_timestamp())
      ON CONFLICT (key, name) DO UPDATE SET
        epoch = toast.epoch + 1,
        wanted_epoch = toast.epoch + 1,
        wanted_version = excluded.wanted_version,
        refresh_at = CASE
          WHEN toast.locked_by IS NULL THEN least(toast.refresh_at, clock_timestamp())
          ELSE toast.refresh_at
        END,
        updated_at = clock_timestamp()`,
  },

  claim: {
    name: 'toasts:claim',
    text: `
      UPDATE toasts SET
        locked_by = $3,
        run = run + 1,
        wanted_epoch = epoch,
        progress = NULL,
        updated_at = clock_timestamp()
      WHERE name = $1 AND key = $2 AND locked_by IS NULL AND refresh_at <= clock_timestamp()
      RETURNING ${claimed}`,
  },

  take: {
    name: 'toasts:take',
    text: `
      INSERT INTO toasts AS toast (name, key, task, wanted_version, args, expires_in, locked_by, run, refresh_at)
      VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, 1, clock_timestamp())
      ON CONFLICT (key, name) DO UPDATE SET
        locked_by = excluded.locked_by,
        run = toast.run + 1,
        args = excluded.args,
        expires_in = excluded.expires_in,
        wanted_version = excluded.wanted_version,
        wanted_epoch = toast.epoch,
        refresh_at = coalesce(toast.refresh_at, clock_timestamp()),
        progress = NULL,
        updated_at = clock_timestamp()
      WHERE toast.run = $8 AND (toast.locked_by IS NULL OR toast.locked_by NOT IN (${livingWorkers}))
      RETURNING ${claimed}`,
  },

  // A lock on a table is held until its transaction ends, and the first write takes it before the trigger runs.
  changesAhead: {
    name: 'toasts:changes-ahead',
    text: `
      SELECT EXISTS (
        SELECT FROM pg_trigger AS trigger
        JOIN pg_locks AS lock ON lock.relation = trigger.tgrelid
        WHERE trigger.tgname LIKE 'toasts\\_invalidate\\_on\\_%'
          AND lock.locktype = 'relation' AND lock.mode = 'RowExclusiveLock' AND lock.granted
          AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND lock.pid <> pg_backend_pid()
      ) AS ahead`,
  },

  // A reader who saw a newer version or invalidation while the value was computed asked for one more refresh.
  store: {
    name: 'toasts:store',
    text: `
      UPDATE toasts SET
        value = $5::jsonb,
        version = $6,
        value_epoch = $7,
        cached_at = $8,
        elapsed = $9,
        expires_at = clock_timestamp() + expires_in * interval '1 millisecond',
        refresh_at = CASE
          WHEN wanted_epoch > $7 THEN clock_timestamp()
          WHEN wanted_version IS DISTINCT FROM $10 AND wanted_version IS DISTINCT FROM $6 THEN clock_timestamp()
        END,
        locked_by = NULL,
        progress = NULL,
        failures = 0,
        error = NULL,
        updated_at = clock_timestamp()
      WHERE name = $1 AND key = $2 AND run = $3 AND locked_by = $4
      RETURNING id`,
  },

  advance: {
    name: 'toasts:advance',
    text: `
      UPDATE toasts SET progress = $5
      WHERE name = $1 AND key = $2 AND run = $3 AND locked_by = $4
      RETURNING id`,
  },

  // A row that holds no value and wants none only remembers its failure, for a day.
  postpone: {
    name: 'toasts:postpone',
    text: `
      UPDATE toasts SET
        refresh_at = clock_timestamp() + $6::double precision * interval '1 millisecond',
        locked_by = NULL,
        progress = NULL,
        failures = failures + 1,
        error = $5::jsonb,
        expires_at = CASE
          WHEN $6 IS NULL AND cached_at IS NULL THEN clock_timestamp() + interval '1 day'
          ELSE expires_at
        END,
        updated_at = clock_timestamp()
      WHERE name = $1 AND key = $2 AND run = $3 AND locked_by = $4`,
  },

  release: {
    name: 'toasts:release',
    text: `
      UPDATE toasts SET refresh_at = clock_timestamp(), locked_by = NULL, progress = NULL, updated_at = clock_timestamp()
      WHERE name = $1 AND key = $2 AND run = $3 AND locked_by = $4`,
  },

  remove: {
    name: 'toasts:remove',
    text: 'DELETE FROM toasts WHERE name = $1 AND key = $2',
  },

  clear: {
    name: 'toasts:clear',
    text: `DELETE FROM toasts WHERE name = $1 OR starts_with(name, $1 || '@') RETURNING id`,
  },

  clearCached: {
    name: 'toasts:clear-cached',
    text: 'DELETE FROM toasts WHERE args IS NOT NULL RETURNING id',
  },

  page: {
    name: 'toasts:page',
    text: 'SELECT id, name, key, updated_at FROM toasts WHERE id > $1 ORDER BY id LIMIT $2',
  },

  forget: {
    name: 'toasts:forget',
    text: 'DELETE FROM toasts WHERE id = ANY ($1::bigint[]) AND locked_by IS NULL RETURNING id',
  },

  rescue: {
    name: 'toasts:rescue',
    text: `
      UPDATE toasts SET
        refresh_at = clock_timestamp() + least(power(2, failures), 3600) * interval '1 second',
        locked_by = NULL,
        progress = NULL,
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
        LIMIT $1
      )
      SELECT (
        graphile_worker.add_job(
          task, json_build_object('name', name, 'key', key),
          run_at => refresh_at, job_key => 'toast:' || id
        )
      ).id
      FROM due`,
  },

  pruneExpired: {
    name: 'toasts:prune-expired',
    text: `
      DELETE FROM toasts WHERE id IN (
        SELECT id
        FROM toasts
        WHERE locked_by IS NULL AND expires_at <= now()
        ORDER BY expires_at
        LIMIT $1
        FOR UPDATE SKIP LOCKED
      )
      RETURNING id`,
  },
} satisfies Record<string, Statement>
