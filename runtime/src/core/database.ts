import { createHash } from 'node:crypto'
import pg from 'pg'
import { type Duration, milliseconds } from './duration.js'
import { AsyncGenError, notMigrated } from './errors.js'
import { listWorkers, type WorkerInfo } from './living-workers.js'
import { RuntimePool, TYPES } from './postgres/pool.js'
import {
  delegateOf,
  type Field,
  fieldsOf,
  type OneOf,
  type PrismaClientLike,
  requireTransaction,
  type TransactionLike,
} from './prisma/client.js'
import { PrismaConnections } from './prisma/connections.js'
import { watchTransactions } from './prisma/open-transactions.js'
import {
  type BackendTransaction,
  cancelStatement,
  identifyTransaction,
  type OpenTransaction,
  openTransaction,
} from './prisma/transaction.js'
import { type RetryOptions, retry, retryAfter } from './retry.js'
import { padLists, type Query, type Statement } from './statement.js'
import { hasNotCommitted, isTransient } from './transient-errors.js'

export interface ConnectOptions {
  /** The URL of the database that the PrismaClient talks to, such as `process.env.DATABASE_URL`. */
  connectionString?: string | undefined
  /**
   * Your own pool, in place of `connectionString`. The runtime does not change the settings of its connections: `docs/operating.md` lists
   * those that it depends on.
   */
  pool?: pg.Pool
  /** How many connections the runtime's own pool may open. Default: 10. */
  poolSize?: number
  /** How long a call may keep its transaction (`Attempt.current().tx()`) open. Default: 10 minutes. */
  transactionTimeout?: Duration
}

/**
 * Binds the runtime to a PrismaClient and its database. The runtime reads and writes its own tables through a small `pg` pool, which is
 * several times faster than the client. It uses the PrismaClient for transactions that it shares with your code.
 */
export function connect<Client extends PrismaClientLike>(
  prisma: Client,
  options: ConnectOptions,
): BoundDatabase<OneOf<Client>> {
  return new BoundDatabase(prisma as unknown as OneOf<Client>, options)
}

const connected = new Set<WeakRef<Database>>()

/** The databases that this process has connected and still uses. */
export function connectedDatabases(): Database[] {
  return [...connected].flatMap((reference) => reference.deref() ?? [])
}

/** A database bound to any client. */
// biome-ignore lint/suspicious/noExplicitAny: the runtime's own code works with any models
export type Database = BoundDatabase<any>

export class BoundDatabase<Client extends PrismaClientLike> {
  readonly prisma: Client
  readonly #options: ConnectOptions
  readonly #transactionTimeout: number
  readonly #prismaConnections: PrismaConnections
  #pool: pg.Pool | undefined
  /** Part of the names of prepared statements. Incremented after a migration, so that they are prepared again. */
  #generation = 0
  readonly #transactionIds = new WeakMap<object, Promise<string>>()
  readonly #closeListeners: (() => void)[] = []

  constructor(prisma: Client, options: ConnectOptions) {
    this.prisma = prisma
    this.#options = options
    this.#transactionTimeout = milliseconds(options.transactionTimeout ?? '10 minutes')
    this.#prismaConnections = new PrismaConnections(prisma)
    connected.add(new WeakRef(this))
    if (process.env.NODE_ENV !== 'production') watchTransactions(prisma)
  }

  /** The present time, in milliseconds since 1970. A test may have another one than the process. */
  now(): number {
    return Date.now()
  }

  /** The open transaction in which a test has the runtime's own statements run. Always undefined in production. */
  get transactionOfTest(): TransactionLike | undefined {
    return undefined
  }

  /** The runtime's own connections, opened when they are first needed. */
  get pool(): pg.Pool {
    this.#pool ??= this.#options.pool ?? this.#openPool()
    return this.#pool
  }

  /** Runs a statement on the runtime's own pool, committed at once. It is tried again after a transient error. */
  query: Query = async <Row>(statement: Statement, values: unknown[]) => {
    const { pool } = this
    try {
      return (await pool.query(prepared(statement, values, this.#generation))).rows as Row[]
    } catch (error) {
      const missing = notMigrated(error)
      if (missing) throw missing
      const send = async () => (await pool.query(prepared(statement, values, this.#generation))).rows as Row[]
      const shouldRetry = (failure: unknown) => this.#isOutdatedPlan(failure) || isRetryable(statement, failure)
      return await retryAfter(error, send, this.#retryOptions(pool, shouldRetry, statement.longRetry))
    }
  }

  /**
   * Runs statements in one transaction on the runtime's own pool.
   * @param run must be idempotent: it may be called again, even after a COMMIT whose answer was lost
   */
  async transaction<Result>(run: (query: Query) => Promise<Result>): Promise<Result> {
    const { pool } = this
    const shouldRetry = (error: unknown) => this.#isOutdatedPlan(error) || isTransient(error)
    return await retry(() => this.#transactionOn(pool, run), this.#retryOptions(pool, shouldRetry))
  }

  /**
   * Runs statements in a transaction of the host's.
   * @throws AsyncGenError NOT_A_TRANSACTION
   */
  within(tx: TransactionLike): Query {
    requireTransaction(tx)
    return async <Row>(statement: Statement, values: unknown[]) => {
      try {
        return await tx.$queryRawUnsafe<Row[]>(statement.text, ...values)
      } catch (error) {
        throw notMigrated(error) ?? error
      }
    }
  }

  /**
   * The id of a transaction of the host's, read once. When Prisma times a transaction out, it can still send one statement after the
   * ROLLBACK (prisma#29762). A statement that is conditional on this id then changes nothing.
   */
  transactionId(tx: TransactionLike): Promise<string> {
    let id = this.#transactionIds.get(tx)
    if (!id) {
      id = this.within(tx)<{ id: string }>(readTransactionId, []).then(([row]) => row!.id)
      this.#transactionIds.set(tx, id)
      // The host may roll back to a savepoint and continue.
      id.catch(() => this.#transactionIds.delete(tx))
    }
    return id
  }

  /** The scalar fields of a model. */
  fieldsOf(model: string): Field[] {
    return fieldsOf(this.prisma, model)
  }

  /**
   * Opens a transaction of the PrismaClient.
   * @param options `cancellable`: whether `cancelStatement` has to work, which costs one statement
   */
  async openTransaction({ cancellable }: { cancellable: boolean }): Promise<OpenTransaction<Client>> {
    const open = async () => {
      const opened = await openTransaction(this.prisma, this.#transactionTimeout)
      if (!cancellable) return { ...opened, cancelStatement: async () => {} }
      try {
        const [backend] = await this.within(opened.tx as never)<BackendTransaction>(identifyTransaction, [])
        const values = [backend!.pid, backend!.started]
        return { ...opened, cancelStatement: async () => void (await this.query(cancelStatement, values)) }
      } catch (error) {
        await opened.rollback()
        throw error
      }
    }
    return await retry(open, { ...SHORT_RETRY, shouldRetry: isTransient })
  }

  /** Finds a record of a model by its fields. Null if there is none. */
  async findRecord(model: string, where: object): Promise<object | null> {
    return await this.#delegateOf(model).findFirst({ where })
  }

  /** Which of these records of a model exist, with the given fields only. */
  async existing(model: string, records: Record<string, unknown>[]): Promise<Record<string, unknown>[]> {
    const select = Object.fromEntries(Object.keys(records[0] ?? {}).map((field) => [field, true]))
    return records.length === 0 ? [] : await this.#delegateOf(model).findMany({ where: { OR: records }, select })
  }

  /** Finds out which startup settings the server accepts. Await it before `openSession`, which uses them. */
  async negotiateSettings(): Promise<void> {
    if (this.pool instanceof RuntimePool) await this.pool.negotiateSettings()
  }

  /** A connection outside the pool, for a session that lasts as long as the process. */
  openSession(): pg.Client {
    const { options } = this.pool
    // pg makes the password a property that the spread does not copy.
    const password = options.password !== undefined && { password: options.password }
    return new pg.Client({
      ...options,
      ...password,
      application_name: 'async-gen presence',
      connectionTimeoutMillis: 5000,
      keepAlive: true,
    })
  }

  /**
   * The workers that are alive, on all machines, the oldest first.
   *
   * @param only `task`: the name of a Graphile Worker task, to list only workers that process it
   */
  async workers(only: { task?: string } = {}): Promise<WorkerInfo[]> {
    const living = await this.query<WorkerInfo>(listWorkers, [only.task ?? null])
    return living.filter(({ poolId }) => poolId !== null)
  }

  /**
   * Closes all connections of the runtime's own pool and of the PrismaClient at once, and fails their statements. After a failover the
   * server may not answer on them, and TCP would wait a quarter of an hour. New ones are opened when they are needed.
   */
  dropConnections(): void {
    if (this.#pool instanceof RuntimePool) this.#pool.destroyConnections()
    if (!this.#prismaConnections.destroy()) this.disconnectPrisma().catch(() => {})
  }

  /** Closes the PrismaClient's connections. It opens new ones when it is used again. */
  async disconnectPrisma(): Promise<void> {
    await (this.prisma as { $disconnect?(): Promise<void> }).$disconnect?.()
  }

  /** Calls the listener at each `close()`, before the connections are closed: what it ends would open new ones. */
  onClose(listener: () => void): void {
    this.#closeListeners.push(listener)
  }

  /** Closes the connections that the runtime opened. The PrismaClient and a pool of your own stay open. */
  async close(): Promise<void> {
    for (const listener of this.#closeListeners) listener()
    const pool = this.#pool
    this.#pool = undefined
    if (pool && pool !== this.#options.pool) await pool.end()
  }

  /** The queries of a model, in the transaction of a test if there is one. */
  #delegateOf(model: string): ReturnType<typeof delegateOf> {
    return delegateOf(this.transactionOfTest ?? this.prisma, model)
  }

  async #transactionOn<Result>(pool: pg.Pool, run: (query: Query) => Promise<Result>): Promise<Result> {
    const client = await pool.connect()
    // Without a listener, an error of a connection of the host's pool would end the process.
    const ignore = () => {}
    client.on('error', ignore)
    let broken = false
    try {
      await client.query(begin)
      const result = await run(async <Row>(statement: Statement, values: unknown[]) => {
        const { rows } = await client.query(prepared(statement, values, this.#generation))
        return rows as Row[]
      })
      await client.query('COMMIT')
      return result
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {
        broken = true
      })
      throw notMigrated(error) ?? error
    } finally {
      client.off('error', ignore)
      client.release(broken)
    }
  }

  /** Nothing is tried again after the pool was closed. */
  #retryOptions(pool: pg.Pool, shouldRetry: (error: unknown) => boolean, isLong = false): RetryOptions {
    return {
      ...(isLong ? LONG_RETRY : SHORT_RETRY),
      shouldRetry: (error) => this.#pool === pool && shouldRetry(error),
    }
  }

  /**
   * After a migration that changes the columns of a table, every prepared `SELECT *` of it fails on each open connection. Under another
   * name, it is prepared again.
   */
  #isOutdatedPlan(error: unknown): boolean {
    const { code, routine } = error as pg.DatabaseError
    const isOutdated = code === '0A000' && routine === 'RevalidateCachedQuery'
    if (isOutdated) this.#generation++
    return isOutdated
  }

  #openPool(): pg.Pool {
    const { connectionString, poolSize } = this.#options
    if (!connectionString) {
      throw new AsyncGenError(
        'NO_CONNECTION_STRING',
        'The connection string of the database is missing. Set DATABASE_URL, or pass `connectionString` to connect(prisma, …). ' +
          "If it is in a .env file, load the file first: import 'dotenv/config' at the top of the program.",
      )
    }
    return new RuntimePool(connectionString, poolSize ?? 10)
  }
}

/** For statements that a caller waits for. Milliseconds. */
const SHORT_RETRY = { timeout: 3000, longestPause: 500 }

/** For statements that store the outcome of a run: if they fail, the call runs again. Milliseconds. */
const LONG_RETRY = { timeout: 600_000, longestPause: 5000 }

function isRetryable({ once, noRetryWhenLocked }: Statement, error: unknown): boolean {
  if (noRetryWhenLocked && (error as pg.DatabaseError).code === LOCK_NOT_AVAILABLE) return false
  return once ? hasNotCommitted(error) : isTransient(error)
}

/** The SQLSTATE of a lock timeout. */
export const LOCK_NOT_AVAILABLE = '55P03'

const MAX_NAME_LENGTH = 63

/** PostgreSQL truncates longer names, so two of them could become equal. */
function prepared(statement: Statement, given: unknown[], generation: number): pg.QueryConfig {
  const { text } = statement
  if (statement.planned) return { text, values: given, types: TYPES }
  const values = statement.padded ? padLists(given, statement.padded) : given
  const name = generation === 0 ? statement.name : `${generation}:${statement.name}`
  if (name.length <= MAX_NAME_LENGTH) return { name, text, values, types: TYPES }
  return { name: createHash('sha256').update(name).digest('hex').slice(0, MAX_NAME_LENGTH), text, values, types: TYPES }
}

// The host's pool or a pooler may have other settings. With a lock timeout of seconds, one locked table does not delay the work on the
// others. With an idle timeout, a frozen process loses its transaction, and its locks are released.
const begin = `
  BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE;
  SELECT
    set_config('lock_timeout', '5s', true),
    set_config('idle_in_transaction_session_timeout', '10s', true),
    set_config('statement_timeout', '0', true),
    CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL THEN set_config('transaction_timeout', '0', true) END`

const readTransactionId: Statement = {
  name: 'async-gen:transaction-id',
  text: 'SELECT pg_current_xact_id()::text AS id',
}
