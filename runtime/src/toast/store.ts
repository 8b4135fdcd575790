import DataLoader from 'dataloader'
import { backoffs } from '../core/backoff.js'
import { type Database, LOCK_NOT_AVAILABLE } from '../core/database.js'
import type { ErrorRecord } from '../core/errors.js'
import type { TransactionLike } from '../core/prisma/client.js'
import type { Json } from '../core/serialize.js'
import type { Query, Statement } from '../core/statement.js'
import type { SweptTable } from '../core/swept-table.js'
import { hasNotCommitted, isTransient } from '../core/transient-errors.js'
import { presenceOf } from '../presence/presence.js'
import { traceContext } from '../telemetry/opentelemetry.js'
import type { TraceContext } from '../telemetry/operation.js'
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
  /** How long ago that was, in milliseconds; null also where the value has had its time, and is as good as none. */
  age: number | null
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
  trace: TraceContext | undefined
}

/** Collects what is asked for in one tick, outside of any transaction or in one of them. */
interface Batches {
  reads: DataLoader<ToastId, ToastRow | undefined>
  requests: DataLoader<SeenRequest, undefined>
}

/** A refresh in progress: nobody but the worker that claimed it, in that run, may finish it. */
export interface Refresh extends ToastId {
  id: string
  /** The Graphile Worker task that refreshes the row. */
  task: string
  run: number
  worker: number
  args: Json
  epoch: number
  wantedVersion: string | null
  failures: number
  /** The trace that asked for it. */
  enqueuedBy: TraceContext | null
  /** When the computation of the value that is there began; null where there is none yet. */
  cachedAt: Date | null
  /** Whether that value was doubtful when it was stored. */
  doubtful: boolean | null
}

export interface NewValue {
  /** Serialized by `serialize`. */
  value: string
  version: string | null
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

/** How long a reader who asks for a refresh waits for a transaction that has locked the row, in milliseconds. */
const PATIENCE = 100

/** What `epoch` never is. */
const DOUBTFUL = -1

/** The SQL of the table `toasts`. */
export class ToastStore implements SweptTable {
  readonly kind = 'toasts'
  readonly table = 'toasts'
  /** Those of reports are added as their classes are made. */
  readonly tasks = new Set(['refresh_toast'])
  readonly #db: Database
  readonly #batches: Batches
  readonly #batchesWithin = new WeakMap<TransactionLike, Batches>()
  /** The refreshes that this process carries out. */
  readonly #inHand = new Set<Refresh>()

  constructor(db: Database) {
    this.#db = db
    this.#batches = {
      reads: new DataLoader((ids) => this.#read(ids, db.query), { cache: false }),
      requests: new DataLoader((requests) => this.#requestAtOnce(requests), { cache: false }),
    }
  }

  /** The row of a toast. Reads in one tick become one query; so do reads in one tick of a transaction of the host's. */
  async read(id: ToastId, tx?: TransactionLike): Promise<ToastRow | undefined> {
    return await this.#batchesOf(tx).reads.load(id)
  }

  /**
   * Asks for a refresh, unless one is wanted already, or has been carried out since the reader saw the row in that run; a
   * running one is told of a newer version or invalidation. Requests in one tick become one statement. Where a transaction has
   * locked the row for long, nothing is asked for: readers do not wait for it, and the next one asks again.
   */
  async request(request: Request, seenRun: number, tx?: TransactionLike): Promise<void> {
    await this.#batchesOf(tx).requests.load({ ...request, seenRun, trace: traceContext() })
  }

  /** Makes the value stale and asks for a refresh as soon as can be, also where the next try was to come later. */
  async expire({ name, key, task, version }: Request, tx?: TransactionLike): Promise<void> {
    const query = tx ? this.#db.within(tx) : this.#db.query
    await query(statements.expire, [name, key, task, version, jsonOf(traceContext())])
  }

  /** Takes a refresh that is due. Nothing where it is not due, or somebody computes it already, or a transaction has locked it. */
  async claim({ name, key }: ToastId, worker: number): Promise<Refresh | undefined> {
    return await this.#hold({ name, key }, worker, statements.claim, [name, key, worker])
  }

  /**
   * Takes a refresh whether it is due or not, for a reader who computes by itself. Nothing where somebody computes it
   * already, or has begun or ended to do so since the reader saw the row.
   */
  async take(request: Request, worker: number, seen: ToastRow | undefined): Promise<Refresh | undefined> {
    const { name, key, task, version, args, expiresIn } = request
    const state = [seen?.run ?? 0, seen?.refresh?.locked_by ?? null]
    const values = [name, key, task, version, args ?? null, expiresIn ?? null, worker, ...state]
    return await this.#hold(request, worker, statements.take, values)
  }

  /** Says that a refresh is over for this process, whether or not its end could be stored. */
  letGo(refresh: Refresh): void {
    this.#inHand.delete(refresh)
  }

  /**
   * Whether a transaction is open at this moment that has written to a table with a trigger that invalidates such toasts. What
   * it has changed cannot be seen yet, and its trigger may have run before the row was there to be marked.
   *
   * @param since when the row was there for certain: transactions that have begun later do not matter
   */
  async changesAhead({ name }: ToastId, since: Date | null): Promise<boolean> {
    const [found] = await this.#db.query<{ ahead: boolean }>(statements.changesAhead, [name, since])
    return found!.ahead
  }

  /** Stores a value, unless the refresh was taken over meanwhile. Returns whether it was stored. */
  async store(refresh: Refresh, { value, version, elapsed, doubtful }: NewValue): Promise<boolean> {
    const { epoch, wantedVersion } = refresh
    const values = [value, version, doubtful ? DOUBTFUL : epoch, elapsed, wantedVersion]
    return await this.#isOurs(statements.store, refresh, values)
  }

  /** Tells how far a computation is. Returns false where it is no longer the one that counts. */
  async advance(refresh: Refresh, progress: number): Promise<boolean> {
    return await this.#isOurs(statements.advance, refresh, [progress])
  }

  /** Records a failure. The old value stays. The refresh is tried again in so many milliseconds, or, with null, not at all. */
  async postpone(refresh: Refresh, error: ErrorRecord, wait: number | null): Promise<void> {
    await this.#db.query(statements.postpone, [...inHand(refresh), JSON.stringify(error), wait])
  }

  /** Gives a refresh back as if it had not been taken. */
  async release(refresh: Refresh): Promise<void> {
    await this.#db.query(statements.release, inHand(refresh))
  }

  /** Removes a toast whose parent is gone, unless the refresh was taken over meanwhile. Returns whether it was removed. */
  async remove(refresh: Refresh): Promise<boolean> {
    return await this.#isOurs(statements.remove, refresh, [])
  }

  /** Removes all toasts of a name, in all versions of its code. Returns how many there were. */
  async clear(name: string): Promise<number> {
    return (await this.#db.query(statements.clear, [name])).length
  }

  /** Takes the refreshes of a name that wait out of the queue, in all versions of its code. Returns how many there were. */
  async clearRefreshes(name: string): Promise<number> {
    return (await this.#db.query(statements.clearRefreshes, [name])).length
  }

  /** Removes everything that functions have cached. Returns how many entries there were. */
  async clearCached(): Promise<number> {
    return (await this.#db.query(statements.clearCached, [])).length
  }

  /** The next toasts after an id, a thousand of them at most. */
  async page(after: string): Promise<StoredToast[]> {
    return await this.#db.query<StoredToast>(statements.page, [after, BATCH])
  }

  /** Removes toasts by their ids, but for those that a transaction has locked. Returns how many. */
  async forget(ids: string[]): Promise<number> {
    return ids.length === 0 ? 0 : (await this.#db.query(statements.forget, [ids])).length
  }

  async rescue(query: Query = this.#db.query): Promise<number> {
    const { id: worker } = await presenceOf(this.#db)
    const held = [...this.#inHand]
    const values = [worker, held.map(({ id }) => id), held.map(({ run }) => run), backoffs()]
    return (await query(statements.rescue, values)).length
  }

  async enqueueDue(query: Query = this.#db.query): Promise<number> {
    return (await query(statements.enqueueDue, [BATCH])).length
  }

  /** Removes values that have had their time. Returns how many, one batch at most. */
  async pruneExpired(query: Query = this.#db.query): Promise<number> {
    return (await query(statements.pruneExpired, [BATCH])).length
  }

  #batchesOf(tx: TransactionLike | undefined): Batches {
    if (!tx) return this.#batches
    let batches = this.#batchesWithin.get(tx)
    if (!batches) {
      const query = this.#db.within(tx)
      batches = {
        reads: new DataLoader((ids) => this.#read(ids, query), { cache: false }),
        requests: new DataLoader((requests) => this.#request(requests, query, null), { cache: false }),
      }
      this.#batchesWithin.set(tx, batches)
    }
    return batches
  }

  async #hold(id: ToastId, worker: number, statement: Statement, values: unknown[]): Promise<Refresh | undefined> {
    const [refresh] = await this.#db.query<Refresh>(statement, values).catch((error) => {
      if (hasNotCommitted(error) || !isTransient(error)) throw error
      return this.#claimedUnanswered(id, worker)
    })
    if (refresh) this.#inHand.add(refresh)
    return refresh
  }

  /** What this process has claimed without having learnt of it. */
  async #claimedUnanswered({ name, key }: ToastId, worker: number): Promise<Refresh[]> {
    const claimed = await this.#db.query<Refresh>(statements.held, [name, key, worker])
    return claimed.filter(({ id, run }) => ![...this.#inHand].some((held) => held.id === id && held.run === run))
  }

  async #isOurs(statement: Statement, refresh: Refresh, values: unknown[]): Promise<boolean> {
    return (await this.#db.query(statement, [...inHand(refresh), ...values])).length > 0
  }

  async #read(ids: readonly ToastId[], query: Query): Promise<(ToastRow | undefined)[]> {
    if (ids.length === 1) {
      const [row] = await query<StoredRow>(statements.readOne, [ids[0]!.name, ids[0]!.key])
      return [row && withTime(row)]
    }
    const stored = await query<StoredRow & ToastId>(statements.readMany, [
      ids.map(({ name }) => name),
      ids.map(({ key }) => key),
    ])
    const rows = stored.map(withTime)
    const found = new Map(rows.map((row) => [textOf(row), row]))
    const handedOut = new Set<ToastRow>()
    return ids.map((id) => {
      const row = found.get(textOf(id))
      // What one reader does to the value is nobody else's business.
      if (row && handedOut.has(row)) return structuredClone(row)
      if (row) handedOut.add(row)
      return row
    })
  }

  async #requestAtOnce(requests: readonly SeenRequest[]): Promise<undefined[]> {
    return await this.#request(requests, this.#db.query, PATIENCE).catch((error: { code?: string }) => {
      if (error.code !== LOCK_NOT_AVAILABLE) throw error
      return requests.map(() => undefined)
    })
  }

  async #request(requests: readonly SeenRequest[], query: Query, patience: number | null): Promise<undefined[]> {
    const distinct = [...new Map(requests.map((request) => [textOf(request), request])).values()]
    const wanted = distinct.map(({ name, key, task, version, args, expiresIn, seenRun, trace }) => {
      return { name, key, task, version, args, expires_in: expiresIn, trace_context: trace, seen_run: seenRun }
    })
    await query(statements.request, [JSON.stringify(wanted), patience?.toString() ?? null])
    return requests.map(() => undefined)
  }
}

/** The time is in milliseconds: a text from pg, a bigint from Prisma. */
type StoredRow = Omit<ToastRow, 'cached_at'> & { cached_at: string | bigint | null }

function withTime<Row extends StoredRow>(row: Row): Omit<Row, 'cached_at'> & ToastRow {
  return Object.assign(row, { cached_at: row.cached_at === null ? null : new Date(Number(row.cached_at)) })
}

/** What tells that a refresh is still ours, in the order of the parameters. */
function inHand({ id, run, worker }: Refresh): unknown[] {
  return [id, run, worker]
}

function jsonOf(trace: TraceContext | undefined): string | null {
  return trace ? JSON.stringify(trace) : null
}

/** A toast's name and key as one text. */
export function textOf({ name, key }: ToastId): string {
  return `${name}\0${key}`
}
