import DataLoader from 'dataloader'
import type { Database, Query } from '../database.js'
import type { ErrorRecord } from '../errors.js'
import type { Json } from '../serialize.js'
import type { KeptTable } from '../upkeep.js'
import { statements } from './sql.js'

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
