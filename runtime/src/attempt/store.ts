import type { Database } from '../core/database.js'
import { snakeCase } from '../core/names.js'
import { toDate } from '../core/postgres/parsers.js'
import type { Field, TransactionLike } from '../core/prisma/client.js'
import { SMALLEST_ID } from '../core/row-id.js'
import type { Query, Statement } from '../core/statement.js'
import type { RetentionPeriods, RowStatistics, SweptTable } from '../core/swept-table.js'
import { BatchStore } from './batches/store.js'
import { DependencyStore } from './dependencies/store.js'
import { LimitStore } from './limits/limit-store.js'
import { PauseStore } from './pause-store.js'
import { pruneAttempts } from './prune.js'
import {
  type AttemptRow,
  debounceKey,
  type NewAttempt,
  type NewBatch,
  OWN_TIMES,
  type RowFilter,
  tokenKey,
} from './row.js'
import { RunStore } from './run-store.js'
import { type BatchResult, type Bulk, bulkStatement, canAddJobs } from './sql/bulk.js'
import { findWaitingStatement } from './sql/debounce.js'
import { enqueueDueStatement } from './sql/enqueue-due.js'
import { findByTokensStatement, insertForm, insertStatement } from './sql/insert.js'
import { attemptStatistics, expireOverdue, mayNeedSweep } from './sql/maintenance.js'
import { rowStatements } from './sql/rows.js'
import { batchesStatement, countStatement, selectStatement } from './sql/select.js'
import type { TargetList } from './targets.js'

/** How many rows one statement of the sweep enqueues. */
const PAGE = 1000

/** One table of attempts: its rows, and through `runs` what this process runs of them. */
export class AttemptStore implements SweptTable {
  readonly finishedColumn = 'completed_at'
  readonly table: string
  readonly model: string
  readonly runs: RunStore
  readonly pauses: PauseStore
  readonly batches: BatchStore
  readonly dependencies: DependencyStore
  readonly limits: LimitStore
  readonly #db: Database
  readonly #task: string
  readonly #sql: ReturnType<typeof rowStatements>
  readonly #enqueueDue: Statement

  /**
   * @param task the Graphile Worker task that performs a row of the table
   * @param targets loads what the rows may call
   */
  constructor(db: Database, model: string, table: string, task: string, targets: () => Promise<TargetList>) {
    this.#db = db
    this.model = model
    this.table = table
    this.#task = task
    this.runs = new RunStore(db, model, table, task)
    this.pauses = new PauseStore(db, { model, table, task })
    this.batches = new BatchStore(db, model, table)
    this.dependencies = new DependencyStore(db, table)
    this.limits = new LimitStore(db, { model, table, task }, async () => (await targets()).limits)
    this.#sql = rowStatements(table)
    this.#enqueueDue = enqueueDueStatement(table)
  }

  get tasks(): string[] {
    return [this.#task]
  }

  /**
   * Inserts rows with one statement, in the host's transaction if there is one. Returns a row for each, in the same order: undefined if
   * its token is taken, and undefined for all if the transaction has ended.
   * @param batch a batch to insert with them
   */
  async insert(attempts: NewAttempt[], tx?: TransactionLike, batch?: NewBatch): Promise<(AttemptRow | undefined)[]> {
    const form = insertForm(attempts, { within: this.#fieldsWithin(tx), isBatch: batch !== undefined })
    const rows = attempts.map((attempt) => ({ ...attempt, parentId: attempt.parentId?.toString() }))
    const transactionId = tx ? await this.#db.transactionId(tx) : null
    const inserted = await this.queryIn(tx)<AttemptRow>(insertStatement(this.table, form), [
      JSON.stringify(rows),
      transactionId,
      ...(batch ? [batch.id, this.model, batch.thenId ?? null, batch.isEmpty] : []),
    ])
    return inOrder(attempts, tx ? this.#withTimes(inserted) : inserted)
  }

  /**
   * Inserts rows, or changes those that wait, with one statement. Returns a row for each, in the same order: undefined if the transaction
   * has ended, or if another row waits than `waiting`.
   *
   * @param attempts each key once
   * @param waiting if the arguments are encrypted: the row that waits, and the arguments for it. Then there is one attempt
   */
  async insertDebounced(
    attempts: readonly NewAttempt[],
    tx?: TransactionLike,
    waiting?: { id: bigint | null; args: string | null },
  ): Promise<(DebouncedRow | undefined)[]> {
    const debouncing = waiting ? 'encrypted' : 'plain'
    const form = insertForm(attempts, { within: this.#fieldsWithin(tx), debouncing })
    const rows = attempts.map((attempt) => ({ ...attempt, parentId: attempt.parentId?.toString() }))
    const transactionId = tx ? await this.#db.transactionId(tx) : null
    const inserted = await this.queryIn(tx)<DebouncedRow>(insertStatement(this.table, form), [
      JSON.stringify(rows),
      transactionId,
      ...(waiting ? [waiting.args, waiting.id?.toString() ?? null] : []),
    ])
    return inDebouncedOrder(attempts, tx ? (this.#withTimes(inserted) as DebouncedRow[]) : inserted)
  }

  /** The id of the row that waits for a key. */
  async findWaiting({ target, method, debounce }: NewAttempt, tx?: TransactionLike): Promise<bigint | null> {
    const [row] = await this.queryIn(tx)<{ id: string }>(findWaitingStatement(this.table), [
      target,
      method,
      debounce?.key,
    ])
    return row ? BigInt(row.id) : null
  }

  /** Takes ids from the table's sequence. */
  async reserveIds(count: number, tx?: TransactionLike): Promise<bigint[]> {
    const rows = await this.queryIn(tx)<{ id: string }>(this.#sql.reserveIds, [this.table, count])
    return rows.map(({ id }) => BigInt(id))
  }

  /** The rows that have the tokens of these attempts. */
  async findByTokens(attempts: NewAttempt[], tx?: TransactionLike): Promise<AttemptRow[]> {
    const rows = await this.queryIn(tx)<AttemptRow>(findByTokensStatement(this.table, this.#fieldsWithin(tx)), [
      attempts.map(({ target }) => target),
      attempts.map(({ method }) => method),
      attempts.map(({ idempotenceToken }) => idempotenceToken),
    ])
    return tx ? this.#withTimes(rows) : rows
  }

  /** @param types the types that the row may have; any if left out */
  async find(id: bigint, types?: string[]): Promise<AttemptRow | undefined> {
    const [row] = await this.#db.query<AttemptRow>(this.#sql.find, [id, types ?? null])
    return row
  }

  /** The newest rows that match. */
  async select(filter: RowFilter, limit: number): Promise<AttemptRow[]> {
    const { statement, values } = selectStatement(this.table, filter, limit)
    return await this.#db.query<AttemptRow>(statement, values)
  }

  async count(filter: RowFilter): Promise<number> {
    const { statement, values } = countStatement(this.table, filter)
    const [row] = await this.#db.query<{ count: string }>(statement, values)
    return Number(row!.count)
  }

  /** The ids of all rows that match, in pages: array literals, to be passed to `changeBatch`. */
  async idPages(filter: RowFilter, size: number): Promise<string[]> {
    const { statement, values } = batchesStatement(this.table, filter, size)
    const rows = await this.#db.query<{ ids: string }>(statement, values)
    return rows.map(({ ids }) => ids)
  }

  /** The task for `changeBatch`, if this role may add jobs. */
  async taskToAdd(): Promise<string | undefined> {
    const [row] = await this.#db.query<{ allowed: boolean | null }>(canAddJobs, [])
    return row!.allowed ? this.#task : undefined
  }

  /** Changes the rows of a batch that still match. */
  async changeBatch(bulk: Bulk, ids: string): Promise<BatchResult> {
    const { statement, values } = bulkStatement(this.table, bulk, ids)
    const [result] = await this.#db.query<BatchResult>(statement, values)
    return result!
  }

  /**
   * Ends a row that is pending or blocked.
   * @param number its last run, if no other may have begun since
   */
  async end(id: bigint, status: 'expired' | 'failed', number?: number): Promise<AttemptRow | undefined> {
    const [row] = await this.#db.query<AttemptRow>(this.#sql.end, [id, status, number ?? null])
    return row
  }

  /** Cancels a row that is pending, blocked or running, and notifies the worker that runs it. */
  async cancel(id: bigint): Promise<AttemptRow | undefined> {
    const [row] = await this.#db.query<AttemptRow>(this.#sql.cancel, [id, this.table])
    return row
  }

  /** Sets a row that has not succeeded and does not run to pending, due in `delay` milliseconds, with at least one more run. */
  async retry(id: bigint, delay: number): Promise<AttemptRow | undefined> {
    const [row] = await this.#db.query<AttemptRow>(this.#sql.retry, [id, delay])
    return row
  }

  get mayNeedSweep(): string {
    return mayNeedSweep(this.table)
  }

  async rescue(query: Query = this.#db.query): Promise<number> {
    return await this.runs.rescue(query)
  }

  async expire(query: Query = this.#db.query): Promise<number> {
    const expired = await query(expireOverdue(this.table), [PAGE])
    return expired.length >= PAGE ? expired.length + (await this.expire(query)) : expired.length
  }

  /** Unblocks what the triggers have missed. Returns how many rows and batches. */
  async repair(query: Query = this.#db.query): Promise<number> {
    return (await this.dependencies.repair(query)) + (await this.batches.repair(query))
  }

  async enqueueResumed(): Promise<number> {
    return await this.pauses.enqueueResumed()
  }

  async enqueueDue(query: Query = this.#db.query, pages = Number.POSITIVE_INFINITY): Promise<number> {
    let total = 0
    let last = { scheduledAt: '-infinity', id: String(SMALLEST_ID) }
    for (let page = 0; page < pages; page++) {
      const values = [this.#task, last.scheduledAt, last.id, PAGE, this.model]
      const [row] = await query<typeof last & { enqueued: number; seen: number }>(this.#enqueueDue, values)
      total += row?.enqueued ?? 0
      if (!row || row.seen < PAGE) break
      last = row
    }
    return total + (await this.limits.repair(query))
  }

  async statistics(pausedModels?: ReadonlySet<string>): Promise<RowStatistics> {
    const [[statistics], paused] = await Promise.all([
      this.#db.query<RowStatistics>(attemptStatistics(this.table), []),
      pausedModels?.has(this.model) ? this.pauses.statistics() : undefined,
    ])
    return { ...statistics!, paused: 0, ...paused }
  }

  async prune(retention: RetentionPeriods | false, stop?: AbortSignal): Promise<number> {
    await this.limits.prune()
    return retention === false ? 0 : await pruneAttempts(this.#db.query, this, retention, stop)
  }

  #fieldsWithin(tx: TransactionLike | undefined): Field[] | undefined {
    return tx && this.#db.fieldsOf(this.model)
  }

  /** Turns the times of rows that Prisma has read from JSON into dates. */
  #withTimes(rows: AttemptRow[]): AttemptRow[] {
    const fields = this.#db.fieldsOf(this.model).filter(({ type }) => type === 'DateTime')
    const columns = new Set([...TIMES, ...fields.map(({ column }) => column)])
    for (const row of rows) for (const column of columns) row[column] = timesOf(row[column])
    return rows
  }

  /** Runs statements in the host's transaction if there is one. */
  queryIn(tx: TransactionLike | undefined): Query {
    return tx ? this.#db.within(tx) : this.#db.query
  }
}

const TIMES = OWN_TIMES.map(snakeCase)

/** A time as JSON text, or a list of them. */
function timesOf(json: unknown): unknown {
  if (Array.isArray(json)) return json.map(timesOf)
  return typeof json === 'string' ? toDate(json) : json
}

/** A row, and whether it waited already. */
export interface DebouncedRow extends AttemptRow {
  wasWaiting: boolean
}

/** Rows without a key have the order in which they were inserted. */
function inDebouncedOrder(attempts: readonly NewAttempt[], rows: DebouncedRow[]): (DebouncedRow | undefined)[] {
  const keyOf = ({ target, method, debounce_key }: AttemptRow) => debounceKey(target, method, debounce_key ?? '')
  const debounced = new Map(rows.filter(({ debounce_key }) => debounce_key !== null).map((row) => [keyOf(row), row]))
  const others = rows.filter(({ debounce_key }) => debounce_key === null)[Symbol.iterator]()
  return attempts.map(({ target, method, debounce }) =>
    debounce ? debounced.get(debounceKey(target, method, debounce.key)) : others.next().value,
  )
}

/** PostgreSQL returns the rows in the order in which it inserted them, without those whose token was taken. */
function inOrder(attempts: NewAttempt[], inserted: AttemptRow[]): (AttemptRow | undefined)[] {
  const withToken = new Map(inserted.filter(hasToken).map((row) => [tokenKey(row), row]))
  const withoutToken = inserted.filter((row) => !hasToken(row))[Symbol.iterator]()
  return attempts.map((attempt) => {
    if (attempt.idempotenceToken === undefined) return withoutToken.next().value
    const key = tokenKey({ ...attempt, idempotence_token: attempt.idempotenceToken })
    const row = withToken.get(key)
    withToken.delete(key)
    return row
  })
}

function hasToken(row: AttemptRow): boolean {
  return row.idempotence_token !== null
}
