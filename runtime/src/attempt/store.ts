import type { Database } from '../core/database.js'
import type { ErrorRecord } from '../core/errors.js'
import { toDate } from '../core/postgres/parsers.js'
import type { Field, TransactionLike } from '../core/prisma/client.js'
import type { Json } from '../core/serialize.js'
import type { Query } from '../core/statement.js'
import type { RetentionPeriods, RowStatistics, SweptTable } from '../core/swept-table.js'
import { hasNotCommitted, isTransient } from '../core/transient-errors.js'
import { presenceOf } from '../presence/presence.js'
import type { TraceContext } from '../telemetry/operation.js'
import { microbatch } from './batch.js'
import { attemptStatistics, pruneAttempts } from './maintenance.js'
import { findByTokensStatement, insertStatement, statements } from './sql.js'

export type AttemptStatus = 'pending' | 'running' | 'succeeded' | 'failed' | 'expired' | 'cancelled'

interface RunFacts {
  /** Which run it was, from 1. */
  number: number
  /** When it failed, as an ISO 8601 text, by the clock of the database. */
  at: string
  /** How long it had run, in seconds. */
  elapsed: number
  /** The id of the worker that ran it; null where a row was only said to be running, by hand. */
  worker: number | null
}

/** One failed run. */
export type AttemptError = RunFacts & ErrorRecord

/** One failed run, as the row keeps it. */
export type StoredError = AttemptError | (RunFacts & { encrypted: string })

type WithoutTime<Entry> = Entry extends unknown ? Omit<Entry, 'at'> : never

/** A failed run as it is sent to the database, whose clock says when it failed. */
export type NewError = WithoutTime<AttemptError>

/** The same, as the row keeps it. */
export type NewStoredError = WithoutTime<StoredError>

/** A row as PostgreSQL returns it: `id` and `parent_id` as text from pg, as bigint from Prisma. */
export interface AttemptRow {
  id: string | bigint
  /** The subclass that recorded it; null for the model's own class. */
  type: string | null
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
  errors: StoredError[]
  locked_by: number | null
  parent_id: string | bigint | null
  /** The trace in which it was recorded. */
  trace_context: TraceContext | null
  created_at: Date
  updated_at: Date
  /** Columns that the host has added. */
  [column: string]: unknown
}

/** What `insert` takes: columns that are left out get the table's defaults. */
export interface NewAttempt {
  /** Reserved with `reserveIds`, for a row whose content is encrypted for it. */
  id?: string
  type: string | null
  target: string
  method: string
  /** JSON text, sealed where the row is encrypted. */
  args: string
  encryptor: string | null
  priority?: number | undefined
  maxAttempts?: number | undefined
  idempotenceToken?: string | undefined
  scheduledAt?: Date | undefined
  parentId?: bigint | undefined
  traceContext?: TraceContext | undefined
  /** Columns that the host has added, by column name. */
  data: Record<string, unknown>
}

interface Claim {
  id: bigint
  worker: number
}

interface Success {
  run: Run
  /** JSON text, sealed where the row is encrypted. */
  result: string
}

/** A run in progress: nobody but the worker that claimed it, in that run, may finish it. */
export interface Run {
  id: bigint
  number: number
  worker: number
}

/** What `select` looks for; what is left out does not matter. */
export interface Filter {
  status?: AttemptStatus | undefined
  target?: string | undefined
  method?: string | undefined
  idempotenceToken?: string | undefined
  parentId?: bigint | undefined
  types?: string[] | undefined
}

/** What a run that failed leads to. */
export interface Failure {
  /** Milliseconds until the next run; null where there is none. */
  retryAfter: number | null
  error?: NewStoredError
}

/** How a hook ends a run. */
export interface Decision {
  status: AttemptStatus
  /** Milliseconds until the next run; null where there is none. */
  retryAfter: number | null
  error?: NewStoredError
}

/** A row whose content was encrypted anew. */
export interface Reencrypted {
  id: bigint
  args: string
  result: string | null
  errors: StoredError[]
}

/** How many rows a statement of the sweep takes on. */
const PAGE = 1000

/** The first that a column of type bigint holds: rows that were written by hand may have any. */
const FIRST_ID = '-9223372036854775808'

/** For how long a row may be held without this process knowing, in milliseconds: as long as a transaction hangs. */
const DOUBTFUL_FOR = 3_600_000

/** One table of attempts. Its statements are in sql.ts. */
export class AttemptStore implements SweptTable {
  readonly finishedColumn = 'completed_at'
  readonly #db: Database
  readonly table: string
  readonly #model: string
  readonly #task: string
  readonly #sql: ReturnType<typeof statements>
  /** The runs that this process has in hand, by id; the sweep takes back what it holds without having it. */
  readonly #inHand = new Map<bigint, number>()
  /**
   * The rows that this process may hold without knowing, as an answer was lost, and since when (in milliseconds): the sweep releases them,
   * and does not count their run.
   */
  readonly #doubtful = new Map<bigint, number>()
  readonly #claim: (request: Claim) => Promise<{ row: AttemptRow | undefined }>
  readonly #succeed: (request: Success) => Promise<boolean>

  /** @param task the Graphile Worker task that performs a row of the table */
  constructor(db: Database, model: string, table: string, task: string) {
    this.#db = db
    this.#model = model
    this.table = table
    this.#task = task
    this.#sql = statements(table)
    this.#claim = microbatch({
      together: (requests) => this.#claimTogether(requests),
      alone: async (request) => (await this.#claimTogether([request]))[0]!,
    })
    this.#succeed = microbatch({
      together: (requests) => this.#succeedTogether(requests),
      alone: (request) => this.#succeedAlone(this.#db.query, request),
    })
  }

  get tasks(): string[] {
    return [this.#task]
  }

  /**
   * Inserts rows with one statement, in the host's transaction if there is one, and returns one row for each in their order:
   * undefined where the token is taken, and for all of them where the transaction has ended.
   */
  async insert(attempts: NewAttempt[], tx?: TransactionLike): Promise<(AttemptRow | undefined)[]> {
    const extra = [...new Set(attempts.flatMap(({ data }) => Object.keys(data)))].sort()
    const rows = attempts.map((attempt) => ({ ...attempt, parentId: attempt.parentId?.toString() }))
    const transactionId = tx ? await this.#db.transactionId(tx) : null
    const inserted = await this.#on(tx)<AttemptRow>(insertStatement(this.table, extra, this.#fieldsWithin(tx)), [
      JSON.stringify(rows),
      transactionId,
    ])
    return inOrder(attempts, tx ? this.#withTimes(inserted) : inserted)
  }

  /** Takes ids from the table's sequence. */
  async reserveIds(count: number, tx?: TransactionLike): Promise<bigint[]> {
    const rows = await this.#on(tx)<{ id: string }>(this.#sql.reserveIds, [this.table, count])
    return rows.map(({ id }) => BigInt(id))
  }

  /** The rows that have the tokens of these. */
  async findByTokens(attempts: NewAttempt[], tx?: TransactionLike): Promise<AttemptRow[]> {
    const rows = await this.#on(tx)<AttemptRow>(findByTokensStatement(this.table, this.#fieldsWithin(tx)), [
      attempts.map(({ target }) => target),
      attempts.map(({ method }) => method),
      attempts.map(({ idempotenceToken }) => idempotenceToken),
    ])
    return tx ? this.#withTimes(rows) : rows
  }

  /** @param types those that the row may have; any, where it is left out */
  async find(id: bigint, types?: string[]): Promise<AttemptRow | undefined> {
    const [row] = await this.#db.query<AttemptRow>(this.#sql.find, [id, types ?? null])
    return row
  }

  /** The newest rows that match. */
  async select(filter: Filter, limit: number): Promise<AttemptRow[]> {
    return await this.#db.query<AttemptRow>(this.#sql.select, [...filterValues(filter), limit])
  }

  async count(filter: Filter): Promise<number> {
    const [row] = await this.#db.query<{ count: string }>(this.#sql.count, filterValues(filter))
    return Number(row!.count)
  }

  /** Takes a row that is pending, due and not locked, and counts the run. Committed at once, so that a crash counts too. */
  async claim(id: bigint, worker: number): Promise<AttemptRow | undefined> {
    return (await this.#claim({ id, worker })).row
  }

  /** Whether a row is pending and due: one that could not be claimed is locked by somebody then. */
  async isDue(id: bigint): Promise<boolean> {
    return (await this.#db.query(this.#sql.isDue, [id])).length === 1
  }

  /** Ends a run well. Returns whether it was still this worker's to end. */
  async succeed(run: Run, result: string): Promise<boolean> {
    return await this.#succeed({ run, result })
  }

  /** The same as the last statement of the call's own transaction. */
  async succeedWithin(tx: TransactionLike, run: Run, result: string): Promise<boolean> {
    return await this.#succeedAlone(this.#db.within(tx), { run, result })
  }

  /**
   * Whether a run has ended well, once that is settled: a COMMIT whose answer was lost may still be on its way.
   * @throws where a transaction of the run goes on for longer than a few seconds
   */
  async hasSucceeded({ id, number }: Run): Promise<boolean> {
    return await this.#db.transaction(async (query) => {
      const [row] = await query<{ succeeded: boolean }>(this.#sql.hasSucceeded, [id, number])
      return row?.succeeded ?? false
    })
  }

  /** Sends a run that is not at fault back to wait, and does not count it. */
  async release(run: Run, delay: number): Promise<void> {
    const others = [...this.#inHand].filter(([id, number]) => id !== run.id || number !== run.number)
    const released = await this.#release([run.id], run.worker, delay, others).catch(() => 0)
    if (released === 0) this.releaseLater(run)
  }

  /** Has the sweep release a run, if it still is one: nobody could tell whether it has ended. */
  releaseLater({ id }: Run): void {
    this.#doubtful.set(id, Date.now())
  }

  /** Ends a run badly, for now or for good. Nothing is returned where it was no longer this worker's to end. */
  async fail(run: Run, { retryAfter, error }: Failure): Promise<AttemptRow | undefined> {
    const values = [run.id, run.number, run.worker, error ? JSON.stringify(error) : null, retryAfter]
    const [row] = await this.#db.query<AttemptRow>(this.#sql.fail, values)
    return row
  }

  /** Ends a run as a hook has decided. Nothing is returned where it was no longer this worker's to end. */
  async endRun(run: Run, { status, retryAfter, error }: Decision): Promise<AttemptRow | undefined> {
    const values = [run.id, run.number, run.worker, error ? JSON.stringify(error) : null, status, retryAfter]
    const [row] = await this.#db.query<AttemptRow>(this.#sql.endRun, values)
    return row
  }

  /**
   * Ends a row that is pending.
   * @param number its last run, where another one must not have begun since
   */
  async end(id: bigint, status: 'expired' | 'failed', number?: number): Promise<AttemptRow | undefined> {
    const [row] = await this.#db.query<AttemptRow>(this.#sql.end, [id, status, number ?? null])
    return row
  }

  /** Ends a row that is pending or running, and tells the worker that runs it. */
  async cancel(id: bigint): Promise<AttemptRow | undefined> {
    const [row] = await this.#db.query<AttemptRow>(this.#sql.cancel, [id, this.table])
    return row
  }

  /** Makes a row due in so many milliseconds that waits, or that ended without success; it gets one more run at least. */
  async retry(id: bigint, wait: number): Promise<AttemptRow | undefined> {
    const [row] = await this.#db.query<AttemptRow>(this.#sql.retry, [id, wait])
    return row
  }

  /** A page of rows whose encryptor is not the one of that name, in the order of their ids. */
  async encryptedOtherwise(name: string, after: bigint, limit: number): Promise<AttemptRow[]> {
    return await this.#db.query<AttemptRow>(this.#sql.encryptedOtherwise, [name, after, limit])
  }

  async countEncryptedOtherwise(name: string): Promise<number> {
    const [row] = await this.#db.query<{ count: string }>(this.#sql.countEncryptedOtherwise, [name])
    return Number(row!.count)
  }

  /** Replaces what is encrypted in rows that have not changed since they were read. Returns how many those were. */
  async reencrypt(rows: Reencrypted[], name: string): Promise<number> {
    return await this.#db.transaction(async (query) => {
      await query(this.#sql.allowReencryption, [])
      const values = [
        rows.map(({ id }) => id),
        rows.map(({ args }) => args),
        rows.map(({ result }) => result),
        rows.map(({ errors }) => JSON.stringify(errors)),
        name,
      ]
      return (await query(this.#sql.reencrypt, values)).length
    })
  }

  /** Says that a run is over for this process, whether or not its end could be stored. */
  letGo({ id, number }: Run): void {
    // It may have been taken back and claimed again meanwhile, even by this process.
    if (this.#inHand.get(id) === number) this.#inHand.delete(id)
  }

  async rescue(query: Query = this.#db.query): Promise<number> {
    const { id: worker } = await presenceOf(this.#db)
    const inHand = [...this.#inHand]
    await this.#releaseDoubtful(worker, query)
    const values = [worker, inHand.map(([id]) => id), inHand.map(([, number]) => number), PAGE]
    let total = 0
    for (let rescued = PAGE; rescued === PAGE; total += rescued) {
      rescued = (await query(this.#sql.rescue, values)).length
    }
    return total
  }

  async enqueueDue(query: Query = this.#db.query, pages = Number.POSITIVE_INFINITY): Promise<number> {
    let total = 0
    let last = { scheduledAt: '-infinity', id: FIRST_ID }
    for (let page = 0; page < pages; page++) {
      const values = [this.#task, last.scheduledAt, last.id, PAGE]
      const [row] = await query<typeof last & { enqueued: number; seen: number }>(this.#sql.enqueueDue, values)
      total += row?.enqueued ?? 0
      if (!row || row.seen < PAGE) break
      last = row
    }
    return total
  }

  async statistics(): Promise<RowStatistics> {
    const [statistics] = await this.#db.query<RowStatistics>(attemptStatistics(this.table), [])
    return statistics!
  }

  async prune(retention: RetentionPeriods | false, stop?: AbortSignal): Promise<number> {
    return retention === false ? 0 : await pruneAttempts(this.#db.query, this.table, retention, stop)
  }

  async #claimTogether(requests: readonly Claim[]): Promise<{ row: AttemptRow | undefined }[]> {
    const ids = requests.map(({ id }) => id)
    const { worker } = requests[0]!
    const rows = await this.#db.query<AttemptRow>(this.#sql.claim, [ids, worker]).catch((error) => {
      if (hasNotCommitted(error) || !isTransient(error)) throw error
      return this.#claimedUnanswered(ids, worker)
    })
    const claimed = new Map(rows.flatMap((row) => (row.status === 'running' ? [[BigInt(row.id), row]] : [])))
    for (const [id, row] of claimed) this.#inHand.set(id, row.num_attempts)
    return ids.map((id) => {
      const row = claimed.get(id)
      // Asked for twice in one batch, it is claimed once.
      claimed.delete(id)
      return { row }
    })
  }

  /** What this process has claimed without having learnt of it. A claim that is still on its way is left to the sweep. */
  async #claimedUnanswered(ids: bigint[], worker: number): Promise<AttemptRow[]> {
    for (const id of ids) this.#doubtful.set(id, Date.now())
    const rows = await this.#db.query<AttemptRow>(this.#sql.claimed, [ids, worker])
    return rows.filter(({ id, num_attempts }) => this.#inHand.get(BigInt(id)) !== num_attempts)
  }

  async #release(
    ids: bigint[],
    worker: number,
    delay: number,
    inHand: [bigint, number][],
    query: Query = this.#db.query,
  ): Promise<number> {
    const values = [ids, worker, delay, inHand.map(([id]) => id), inHand.map(([, number]) => number)]
    return (await query(this.#sql.release, values)).length
  }

  async #releaseDoubtful(worker: number, query: Query): Promise<void> {
    if (this.#doubtful.size === 0) return
    await this.#release([...this.#doubtful.keys()], worker, 0, [...this.#inHand], query)
    for (const [id, since] of this.#doubtful) if (Date.now() - since > DOUBTFUL_FOR) this.#doubtful.delete(id)
  }

  async #succeedTogether(requests: readonly Success[]): Promise<(true | undefined)[]> {
    const runs = requests.map(({ run }) => run)
    const ended = await this.#db.query<{ id: string }>(this.#sql.succeedTogether, [
      runs.map(({ id }) => id),
      runs.map(({ number }) => number),
      runs.map(({ worker }) => worker),
      requests.map(({ result }) => result),
    ])
    const ids = new Set(ended.map(({ id }) => BigInt(id)))
    return runs.map(({ id }) => ids.has(id) || undefined)
  }

  async #succeedAlone(query: Query, { run, result }: Success): Promise<boolean> {
    const values = [run.id.toString(), run.number, run.worker, result]
    return (await query(this.#sql.succeed, values)).length === 1
  }

  #fieldsWithin(tx: TransactionLike | undefined): Field[] | undefined {
    return tx && this.#db.fieldsOf(this.#model)
  }

  /** Reads the times of rows that Prisma has read: they come as JSON, which it leaves alone. */
  #withTimes(rows: AttemptRow[]): AttemptRow[] {
    const fields = this.#db.fieldsOf(this.#model).filter(({ type }) => type === 'DateTime')
    const columns = new Set([...TIMES, ...fields.map(({ column }) => column)])
    for (const row of rows) for (const column of columns) row[column] = timesOf(row[column])
    return rows
  }

  #on(tx: TransactionLike | undefined): Query {
    return tx ? this.#db.within(tx) : this.#db.query
  }
}

const TIMES = ['scheduled_at', 'started_at', 'completed_at', 'created_at', 'updated_at']

/** A time as JSON has it, or several. */
function timesOf(json: unknown): unknown {
  if (Array.isArray(json)) return json.map(timesOf)
  return typeof json === 'string' ? toDate(json) : json
}

/** Rows come back in the order in which they were inserted, without those whose token was taken. */
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

/** What is unique in the table, where there is a token. */
export function tokenKey(row: Pick<AttemptRow, 'target' | 'method' | 'idempotence_token'>): string {
  return JSON.stringify([row.target, row.method, row.idempotence_token])
}

function filterValues({ status, target, method, idempotenceToken, parentId, types }: Filter): unknown[] {
  return [status ?? null, target ?? null, method ?? null, idempotenceToken ?? null, parentId ?? null, types ?? null]
}
