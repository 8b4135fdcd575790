import type { Database, Query } from '../database.js'
import type { ErrorRecord } from '../errors.js'
import type { TraceContext } from '../opentelemetry.js'
import { presenceOf } from '../presence.js'
import type { TransactionLike } from '../prisma.js'
import type { Json } from '../serialize.js'
import type { KeptTable } from '../upkeep.js'
import { microbatch } from './batch.js'
import { insertStatement, statements } from './sql.js'

export type AttemptStatus = 'pending' | 'running' | 'succeeded' | 'failed' | 'expired' | 'cancelled'

interface RunFacts {
  /** Which run it was, from 1. */
  number: number
  /** When it failed, as an ISO 8601 text. */
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
}

/** What a run that failed leads to. */
export interface Failure {
  /** Milliseconds until the next run; null where there is none. */
  retryAfter: number | null
  error?: StoredError
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

/** One table of attempts. Its statements are in sql.ts. */
export class AttemptStore implements KeptTable {
  readonly kind = 'attempts'
  readonly #db: Database
  readonly table: string
  readonly #task: string
  readonly #sql: ReturnType<typeof statements>
  /** The runs that this process has in hand, by id; the sweep takes back what it holds without having it. */
  readonly #inHand = new Map<bigint, number>()
  readonly #claim: (request: Claim) => Promise<{ row: AttemptRow | undefined }>
  readonly #succeed: (request: Success) => Promise<boolean>

  /** @param task the Graphile Worker task that performs a row of the table */
  constructor(db: Database, table: string, task: string) {
    this.#db = db
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
    const inserted = await this.#on(tx)<AttemptRow>(insertStatement(this.table, extra), [
      JSON.stringify(rows),
      transactionId,
    ])
    return inOrder(attempts, inserted)
  }

  /** Takes ids from the table's sequence. */
  async reserveIds(count: number, tx?: TransactionLike): Promise<bigint[]> {
    const rows = await this.#on(tx)<{ id: string }>(this.#sql.reserveIds, [this.table, count])
    return rows.map(({ id }) => BigInt(id))
  }

  /** The rows that have the tokens of these. */
  async findByTokens(attempts: NewAttempt[], tx?: TransactionLike): Promise<AttemptRow[]> {
    return await this.#on(tx)<AttemptRow>(this.#sql.findByTokens, [
      attempts.map(({ target }) => target),
      attempts.map(({ method }) => method),
      attempts.map(({ idempotenceToken }) => idempotenceToken),
    ])
  }

  async find(id: bigint): Promise<AttemptRow | undefined> {
    const [row] = await this.#db.query<AttemptRow>(this.#sql.find, [id])
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

  /** Ends a run badly, for now or for good. Nothing is returned where it was no longer this worker's to end. */
  async fail(run: Run, { retryAfter, error }: Failure): Promise<AttemptRow | undefined> {
    const values = [run.id, run.number, run.worker, JSON.stringify(error ? [error] : []), retryAfter]
    const [row] = await this.#db.query<AttemptRow>(this.#sql.fail, values)
    return row
  }

  /** Ends a row that is pending. */
  async end(id: bigint, status: 'expired' | 'failed'): Promise<AttemptRow | undefined> {
    const [row] = await this.#db.query<AttemptRow>(this.#sql.end, [id, status])
    return row
  }

  /** Ends a row that is pending or running, and tells the worker that runs it. */
  async cancel(id: bigint): Promise<AttemptRow | undefined> {
    const [row] = await this.#db.query<AttemptRow>(this.#sql.cancel, [id, this.table])
    return row
  }

  /** Makes a row due now that waits, or that ended without success; it gets one more run at least. */
  async retry(id: bigint): Promise<AttemptRow | undefined> {
    const [row] = await this.#db.query<AttemptRow>(this.#sql.retry, [id])
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
    const values = [worker, inHand.map(([id]) => id), inHand.map(([, number]) => number), PAGE]
    let total = 0
    for (let rescued = PAGE; rescued === PAGE; total += rescued) {
      rescued = (await query(this.#sql.rescue, values)).length
    }
    return total
  }

  async enqueueDue(query: Query = this.#db.query, pages = Number.POSITIVE_INFINITY): Promise<number> {
    let total = 0
    let last = { scheduledAt: '-infinity', id: '0' }
    for (let page = 0; page < pages; page++) {
      const values = [this.#task, last.scheduledAt, last.id, PAGE]
      const [row] = await query<typeof last & { enqueued: number; seen: number }>(this.#sql.enqueueDue, values)
      total += row?.enqueued ?? 0
      if (!row || row.seen < PAGE) break
      last = row
    }
    return total
  }

  async #claimTogether(requests: readonly Claim[]): Promise<{ row: AttemptRow | undefined }[]> {
    const ids = requests.map(({ id }) => id)
    const rows = await this.#db.query<AttemptRow>(this.#sql.claim, [ids, requests[0]!.worker])
    const claimed = new Map(rows.map((row) => [BigInt(row.id), row]))
    for (const [id, row] of claimed) this.#inHand.set(id, row.num_attempts)
    return ids.map((id) => {
      const row = claimed.get(id)
      // Asked for twice in one batch, it is claimed once.
      claimed.delete(id)
      return { row }
    })
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

  #on(tx: TransactionLike | undefined): Query {
    return tx ? this.#db.within(tx) : this.#db.query
  }
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

function filterValues({ status, target, method, idempotenceToken, parentId }: Filter): unknown[] {
  return [status ?? null, target ?? null, method ?? null, idempotenceToken ?? null, parentId ?? null]
}
