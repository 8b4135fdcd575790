import DataLoader from 'dataloader'
import { type Database, LOCK_NOT_AVAILABLE } from '../core/database.js'
import type { ErrorRecord } from '../core/errors.js'
import type { TransactionLike } from '../core/prisma/client.js'
import type { Json } from '../core/serialize.js'
import type { Query, Statement } from '../core/statement.js'
import { hasNotCommitted, isTransient } from '../core/transient-errors.js'
import { traceContext } from '../telemetry/opentelemetry.js'
import type { TraceContext } from '../telemetry/operation.js'
import { statements } from './sql/toasts.js'

/** Identifies a row: the name of the toast, and the key of its parent. */
export interface ToastId {
  name: string
  key: string
}

/** A row of `toasts` as readers see it: the value, and the state of its refresh. */
export interface ToastRow {
  value: Json
  /** The parent's version, read before the value was computed. */
  version: string | null
  /** Whether the value was made stale (by `expire` or a trigger) after its computation began. */
  invalidated: boolean
  /** When the computation of the value began; null where there is no value yet. */
  cached_at: Date | null
  /** How long the computation took, in seconds. */
  elapsed: number | null
  /** The time since `cached_at`, in milliseconds. Null where there is no value, or it has expired. */
  age: number | null
  /** The number of refreshes so far. Only the latest one may write. */
  run: number
  /** Null where no refresh is requested and the last one did not fail. */
  refresh: RefreshState | null
}

interface RefreshState {
  /** Whether a refresh is requested and has not ended, now or at its next try. */
  requested: boolean
  /** The parent's version that the reader who requested it had. */
  wanted_version: string | null
  /** Whether the value was invalidated again after the request, or after the refresh began. */
  invalidated_again: boolean
  /** The worker that computes now. */
  locked_by: number | null
  /** The progress that the computation has reported, from 0 to 1. */
  progress: number | null
  /** The text beside it. */
  progress_message: string | null
  /** How many refreshes have failed since the last success. */
  failures: number
  /** The error of the last failure since the last success. */
  error: ErrorRecord | null
}

/** A refresh that a reader requests. */
export interface RefreshRequest extends ToastId {
  /** The Graphile Worker task that refreshes the row. */
  task: string
  /** The parent's version that the reader has. */
  version: string | null
  /** Arguments of a cached function, serialized by `serialize`. */
  args?: string
  /** Milliseconds. */
  expiresIn?: number | undefined
}

interface ObservedRequest extends RefreshRequest {
  /** The `run` of the row when the reader read it. */
  observedRun: number
  trace: TraceContext | undefined
}

/** Collects the reads and requests of one tick, outside of a transaction or in one. */
interface Batches {
  reads: DataLoader<ToastId, ToastRow | undefined>
  requests: DataLoader<ObservedRequest, undefined>
}

/** A refresh that a worker has claimed: only that worker, in that run, may end it. */
export interface ClaimedRefresh extends ToastId {
  id: string
  /** The Graphile Worker task that refreshes the row. */
  task: string
  run: number
  worker: number
  args: Json
  epoch: number
  wantedVersion: string | null
  failures: number
  /** The trace context of the reader who requested it. */
  enqueuedBy: TraceContext | null
  /** When the computation of the present value began; null where there is none yet. */
  cachedAt: Date | null
  /** Whether the present value was provisional when it was stored; null where there is none. */
  isProvisional: boolean | null
}

export interface NewValue {
  /** Serialized by `serialize`. */
  value: string
  version: string | null
  /** Seconds. */
  elapsed: number
  /** Whether an open transaction may have changed the data that the value was computed from. A provisional value counts as invalidated. */
  isProvisional: boolean
}

/** How long a reader's request waits for a transaction that has locked the row, in milliseconds. */
const REQUEST_LOCK_TIMEOUT = 100

/** The `value_epoch` of a provisional value. The column `epoch` is never negative after a claim. */
const PROVISIONAL_EPOCH = -1

/** Reads, requests and claims in the table `toasts`. Its statements are in sql/toasts.ts. */
export class ToastStore {
  readonly #db: Database
  readonly #batches: Batches
  readonly #batchesOfTransactions = new WeakMap<TransactionLike, Batches>()
  readonly #running = new Set<ClaimedRefresh>()

  constructor(db: Database) {
    this.#db = db
    this.#batches = {
      reads: new DataLoader((ids) => this.#read(ids, db.query), { cache: false }),
      requests: new DataLoader((requests) => this.#requestWithTimeout(requests), { cache: false }),
    }
  }

  /** The refreshes that this process has claimed and not ended. */
  get running(): ReadonlySet<ClaimedRefresh> {
    return this.#running
  }

  /** Reads a row. All reads of one tick become one query; so do the reads of one tick in a transaction of the host's. */
  async read(id: ToastId, tx?: TransactionLike): Promise<ToastRow | undefined> {
    return await this.#batchesOf(tx).reads.load(id)
  }

  /**
   * Requests a refresh, unless one is requested already, or has ended since the reader read the row. A refresh that runs is repeated if
   * the request brings a newer version or invalidation. All requests of one tick become one statement. Outside of a transaction, a row
   * that stays locked for longer than 100 ms is left alone, so that readers do not wait; the next reader requests it again.
   *
   * @param observedRun the `run` of the row when the reader read it; 0 where there was no row
   */
  async request(request: RefreshRequest, observedRun: number, tx?: TransactionLike): Promise<void> {
    await this.#batchesOf(tx).requests.load({ ...request, observedRun, trace: traceContext() })
  }

  /** Makes the value stale and requests a refresh at once, even if the next try was scheduled for later. */
  async expire({ name, key, task, version }: RefreshRequest, tx?: TransactionLike): Promise<void> {
    const query = tx ? this.#db.within(tx) : this.#db.query
    await query(statements.expire, [name, key, task, version, traceJson(traceContext())])
  }

  /** Claims a refresh. Undefined where it is not due, runs already, or its row is locked. */
  async claim({ name, key }: ToastId, worker: number): Promise<ClaimedRefresh | undefined> {
    return await this.#claim({ name, key }, worker, statements.claim, [name, key, worker])
  }

  /**
   * Claims a refresh whether or not it is due, for a reader that computes the value itself. Undefined where it runs already, or where one
   * has begun or ended since the reader read the row.
   */
  async claimNow(
    request: RefreshRequest,
    worker: number,
    row: ToastRow | undefined,
  ): Promise<ClaimedRefresh | undefined> {
    const { name, key, task, version, args, expiresIn } = request
    const observed = [row?.run ?? 0, row?.refresh?.locked_by ?? null]
    const values = [name, key, task, version, args ?? null, expiresIn ?? null, worker, ...observed]
    return await this.#claim(request, worker, statements.claimNow, values)
  }

  /** Records that this process no longer runs a refresh, whether or not its outcome could be stored. */
  markEnded(refresh: ClaimedRefresh): void {
    this.#running.delete(refresh)
  }

  /**
   * Whether an open transaction has written to a table with a trigger that invalidates such toasts. Its changes cannot be read yet, and
   * its trigger may have run before the row existed.
   *
   * @param since when the row existed for certain: transactions that began later do not matter
   */
  async hasOpenChanges({ name }: ToastId, since: Date | null): Promise<boolean> {
    const [row] = await this.#db.query<{ found: boolean }>(statements.hasOpenChanges, [name, since])
    return row!.found
  }

  /** Stores a value. Returns false where another run has superseded the refresh. */
  async store(refresh: ClaimedRefresh, { value, version, elapsed, isProvisional }: NewValue): Promise<boolean> {
    const { epoch, wantedVersion } = refresh
    const values = [value, version, isProvisional ? PROVISIONAL_EPOCH : epoch, elapsed, wantedVersion]
    return await this.#changeOwn(statements.store, refresh, values)
  }

  /** Stores the progress of a computation. Returns false where another run has superseded the refresh. */
  async storeProgress(refresh: ClaimedRefresh, progress: number, message: string | null): Promise<boolean> {
    return await this.#changeOwn(statements.storeProgress, refresh, [progress, message])
  }

  /** Records a failure. The old value stays. `delay` is the time until the next try in milliseconds; null for no try. */
  async storeFailure(refresh: ClaimedRefresh, error: ErrorRecord, delay: number | null): Promise<void> {
    await this.#changeOwn(statements.storeFailure, refresh, [JSON.stringify(error), delay])
  }

  /** Returns a refresh to the queue unfinished. It is due at once. */
  async release(refresh: ClaimedRefresh): Promise<void> {
    await this.#changeOwn(statements.release, refresh, [])
  }

  /** Deletes a toast whose parent is gone. Returns false where another run has superseded the refresh. */
  async remove(refresh: ClaimedRefresh): Promise<boolean> {
    return await this.#changeOwn(statements.remove, refresh, [])
  }

  /** Deletes all rows of a name, of all versions of its code. Returns how many were deleted. */
  async clear(name: string): Promise<number> {
    return (await this.#db.query(statements.clear, [name])).length
  }

  /** Removes the waiting refreshes of a name from the queue, of all versions of its code. Returns how many were removed. */
  async clearRefreshes(name: string): Promise<number> {
    return (await this.#db.query(statements.clearRefreshes, [name])).length
  }

  /** Deletes the entries of all cached functions. Returns how many were deleted. */
  async clearCached(): Promise<number> {
    return (await this.#db.query(statements.clearCached, [])).length
  }

  #batchesOf(tx: TransactionLike | undefined = this.#db.transactionOfTest): Batches {
    if (!tx) return this.#batches
    let batches = this.#batchesOfTransactions.get(tx)
    if (!batches) {
      const query = this.#db.within(tx)
      batches = {
        reads: new DataLoader((ids) => this.#read(ids, query), { cache: false }),
        requests: new DataLoader((requests) => this.#request(requests, query, null), { cache: false }),
      }
      this.#batchesOfTransactions.set(tx, batches)
    }
    return batches
  }

  async #claim(
    id: ToastId,
    worker: number,
    statement: Statement,
    values: unknown[],
  ): Promise<ClaimedRefresh | undefined> {
    const [refresh] = await this.#db.query<ClaimedRefresh>(statement, values).catch((error) => {
      if (hasNotCommitted(error) || !isTransient(error)) throw error
      return this.#claimWithLostAnswer(id, worker)
    })
    if (refresh) this.#running.add(refresh)
    return refresh
  }

  async #claimWithLostAnswer({ name, key }: ToastId, worker: number): Promise<ClaimedRefresh[]> {
    const claimed = await this.#db.query<ClaimedRefresh>(statements.findClaimed, [name, key, worker])
    return claimed.filter(({ id, run }) => ![...this.#running].some((known) => known.id === id && known.run === run))
  }

  /** Runs a statement that changes the row only if the claimed run is still the current one. Returns whether it was. */
  async #changeOwn(statement: Statement, { id, run, worker }: ClaimedRefresh, values: unknown[]): Promise<boolean> {
    return (await this.#db.query(statement, [id, run, worker, ...values])).length > 0
  }

  async #read(ids: readonly ToastId[], query: Query): Promise<(ToastRow | undefined)[]> {
    if (ids.length === 1) {
      const [row] = await query<StoredRow>(statements.readOne, [ids[0]!.name, ids[0]!.key])
      return [row && withTime(row)]
    }
    const names = ids.map(({ name }) => name)
    const keys = ids.map(({ key }) => key)
    const rows = (await query<StoredRow & ToastId>(statements.readMany, [names, keys])).map(withTime)
    const found = new Map(rows.map((row) => [toastIdText(row), row]))
    const returned = new Set<ToastRow>()
    return ids.map((id) => {
      const row = found.get(toastIdText(id))
      // Each reader gets its own copy, so that its changes do not affect the others.
      if (row && returned.has(row)) return structuredClone(row)
      if (row) returned.add(row)
      return row
    })
  }

  async #requestWithTimeout(requests: readonly ObservedRequest[]): Promise<undefined[]> {
    return await this.#request(requests, this.#db.query, REQUEST_LOCK_TIMEOUT).catch((error: { code?: string }) => {
      if (error.code !== LOCK_NOT_AVAILABLE) throw error
      return requests.map(() => undefined)
    })
  }

  async #request(requests: readonly ObservedRequest[], query: Query, lockTimeout: number | null): Promise<undefined[]> {
    const distinct = [...new Map(requests.map((request) => [toastIdText(request), request])).values()]
    const requested = distinct.map(({ name, key, task, version, args, expiresIn, observedRun, trace }) => {
      return { name, key, task, version, args, expires_in: expiresIn, trace_context: trace, observed_run: observedRun }
    })
    await query(statements.request, [JSON.stringify(requested), lockTimeout?.toString() ?? null])
    return requests.map(() => undefined)
  }
}

/** The time is in milliseconds: pg reads it as text, Prisma as a bigint. */
type StoredRow = Omit<ToastRow, 'cached_at'> & { cached_at: string | bigint | null }

function withTime<Row extends StoredRow>(row: Row): Omit<Row, 'cached_at'> & ToastRow {
  return Object.assign(row, { cached_at: row.cached_at === null ? null : new Date(Number(row.cached_at)) })
}

function traceJson(trace: TraceContext | undefined): string | null {
  return trace ? JSON.stringify(trace) : null
}

/** A toast's name and key as one text, for use as a map key. */
export function toastIdText({ name, key }: ToastId): string {
  return `${name}\0${key}`
}
