import { createHash } from 'node:crypto'
import pg from 'pg'
import { type Duration, milliseconds } from './duration.js'
import { AsyncGenError, notMigrated } from './errors.js'
import { listWorkers, type WorkerInfo } from './living-workers.js'
import { PARSERS } from './postgres/parsers.js'
import { RuntimePool } from './postgres/pool.js'
import {
  delegateOf,
  type Field,
  fieldsOf,
  type OneOf,
  type PrismaClientLike,
  requireTransaction,
  type TransactionLike,
  type TransactionOf,
} from './prisma/client.js'
import { PrismaConnections } from './prisma/connections.js'
import { watchTransactions } from './prisma/open-transactions.js'
import { type RetryLimits, retry, retryAfter } from './retry.js'
import type { Query, Statement } from './statement.js'
import { hasNotCommitted, isTransient } from './transient-errors.js'

export interface ConnectOptions {
  /** The URL of the database that the PrismaClient talks to, such as `process.env.DATABASE_URL`. */
  connectionString?: string | undefined
  /**
   * A pool of your own, in place of `connectionString`. Its connections keep the settings that they have: `docs/operating.md` lists those
   * that the runtime depends on.
   */
  pool?: pg.Pool
  /** How many connections the runtime's own pool may open. Default: 10. */
  poolSize?: number
  /** How long a call may keep the transaction that it asked for open. Default: 10 minutes. */
  transactionTimeout?: Duration
}

/** A transaction that stays open until it is told how to end. */
export interface OpenTransaction<Client> {
  tx: TransactionOf<Client>
  commit(): Promise<void>
  rollback(): Promise<void>
}

/**
 * Binds the runtime to a PrismaClient and to the database behind it. The runtime reads and writes its own tables through a
 * small `pg` pool, which is several times faster than a client, and uses the PrismaClient where a transaction is shared with your code.
 */
export function connect<Client extends PrismaClientLike>(
  prisma: Client,
  options: ConnectOptions,
): BoundDatabase<OneOf<Client>> {
  return new BoundDatabase(prisma as unknown as OneOf<Client>, options)
}

/** A database bound to whatever client. */
// biome-ignore lint/suspicious/noExplicitAny: the runtime's own code does not care which models a client has
export type Database = BoundDatabase<any>

export class BoundDatabase<Client extends PrismaClientLike> {
  readonly prisma: Client
  readonly #options: ConnectOptions
  readonly #transactionTimeout: number
  readonly #prismaConnections: PrismaConnections
  #pool: pg.Pool | undefined
  /** How often statements were prepared anew under another name. */
  #generation = 0
  readonly #transactionIds = new WeakMap<object, Promise<string>>()

  constructor(prisma: Client, options: ConnectOptions) {
    this.prisma = prisma
    this.#options = options
    this.#transactionTimeout = milliseconds(options.transactionTimeout ?? '10 minutes')
    this.#prismaConnections = new PrismaConnections(prisma)
    if (process.env.NODE_ENV !== 'production') watchTransactions(prisma)
  }

  /** The runtime's own connections, opened when they are first needed. */
  get pool(): pg.Pool {
    this.#pool ??= this.#options.pool ?? this.#openPool()
    return this.#pool
  }

  /** Runs a statement on the runtime's own pool, committed at once. What fails for a moment only is tried again. */
  query: Query = async <Row>(statement: Statement, values: unknown[]) => {
    const { pool } = this
    try {
      return (await pool.query(prepared(statement, values, this.#generation))).rows as Row[]
    } catch (error) {
      const missing = notMigrated(error)
      if (missing) throw missing
      const send = async () => (await pool.query(prepared(statement, values, this.#generation))).rows as Row[]
      const repeats = (failure: unknown) => this.#isOutdatedPlan(failure) || mayRepeat(statement, failure)
      return await retryAfter(error, send, this.#limits(pool, repeats, statement.patient))
    }
  }

  /**
   * Runs statements in one transaction of the runtime's own.
   * @param run may be called again, even after a COMMIT whose answer was lost: doing it twice must be as good as once
   */
  async transaction<Result>(run: (query: Query) => Promise<Result>): Promise<Result> {
    const { pool } = this
    const repeats = (error: unknown) => this.#isOutdatedPlan(error) || isTransient(error)
    return await retry(() => this.#transactionOn(pool, run), this.#limits(pool, repeats))
  }

  /** Runs statements inside a transaction of the host's. */
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
   * The id of a transaction of the host's, read once. A statement that was in flight when Prisma gave a transaction up
   * is still sent, after the ROLLBACK (prisma#29762); made conditional on this id, it does nothing then.
   */
  transactionId(tx: TransactionLike): Promise<string> {
    let id = this.#transactionIds.get(tx)
    if (!id) {
      id = this.within(tx)<{ id: string }>(readTransactionId, []).then(([row]) => row!.id)
      this.#transactionIds.set(tx, id)
      // The host may go back to a savepoint and go on.
      id.catch(() => this.#transactionIds.delete(tx))
    }
    return id
  }

  /** The scalar fields of a model. */
  fieldsOf(model: string): Field[] {
    return fieldsOf(this.prisma, model)
  }

  /** Opens a transaction of the PrismaClient's and hands over its two ends. */
  async openTransaction(): Promise<OpenTransaction<Client>> {
    return await retry(() => this.#open(), { ...IMPATIENT, mayRepeat: isTransient })
  }

  #open(): Promise<OpenTransaction<Client>> {
    const rolledBack = new Error('rolled back on request')
    return new Promise((resolve, reject) => {
      const ended: Promise<void> = this.prisma.$transaction(
        (tx: TransactionOf<Client>) =>
          new Promise<void>((commit, fail) => {
            resolve({
              tx,
              commit: () => {
                commit()
                return ended
              },
              rollback: async () => {
                fail(rolledBack)
                await ended.catch(() => {})
              },
            })
          }),
        { timeout: this.#transactionTimeout, maxWait: MAX_WAIT },
      )
      ended.catch(reject)
    })
  }

  /** The record of a model with these values, or null. */
  async findRecord(model: string, where: object): Promise<object | null> {
    return await delegateOf(this.prisma, model).findFirst({ where })
  }

  /** Of several records, those that exist: nothing but the fields that they were looked for by. */
  async existing(model: string, records: Record<string, unknown>[]): Promise<Record<string, unknown>[]> {
    const select = Object.fromEntries(Object.keys(records[0] ?? {}).map((field) => [field, true]))
    return records.length === 0 ? [] : await delegateOf(this.prisma, model).findMany({ where: { OR: records }, select })
  }

  /** To be awaited before `openSession`: only then is it known which settings a session can ask for. */
  async settle(): Promise<void> {
    if (this.pool instanceof RuntimePool) await this.pool.settle()
  }

  /** A connection outside the pool, for a session that lasts as long as the process. */
  openSession(): pg.Client {
    const { options } = this.pool
    // The pool hides its password from whoever lists its options.
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
   * The workers that are alive on whatever machine, the oldest first.
   *
   * @param only `task`: the name of a Graphile Worker task, for the workers that take it
   */
  async workers(only: { task?: string } = {}): Promise<WorkerInfo[]> {
    const living = await this.query<WorkerInfo>(listWorkers, [only.task ?? null])
    return living.filter(({ poolId }) => poolId !== null)
  }

  /**
   * Gives up all connections of the runtime's own pool and of the PrismaClient, with their statements: after a failover
   * nobody may be at their other end, and TCP would wait a quarter of an hour for an answer. New ones are opened when they are needed.
   */
  dropConnections(): void {
    if (this.#pool instanceof RuntimePool) this.#pool.destroyConnections()
    if (!this.#prismaConnections.destroy()) this.disconnectPrisma().catch(() => {})
  }

  /** Closes the PrismaClient's connections; it opens others when it is used again. */
  async disconnectPrisma(): Promise<void> {
    await (this.prisma as { $disconnect?(): Promise<void> }).$disconnect?.()
  }

  /** Closes the connections that the runtime opened. The PrismaClient and a pool of your own stay open. */
  async close(): Promise<void> {
    const pool = this.#pool
    this.#pool = undefined
    if (pool && pool !== this.#options.pool) await pool.end()
  }

  async #transactionOn<Result>(pool: pg.Pool, run: (query: Query) => Promise<Result>): Promise<Result> {
    const client = await pool.connect()
    // A pool of the host's may lend connections whose errors would end the process.
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

  /** Nothing is tried again once the pool is closed. */
  #limits(pool: pg.Pool, repeats: (error: unknown) => boolean, isPatient = false): RetryLimits {
    return { ...(isPatient ? PATIENT : IMPATIENT), mayRepeat: (error) => this.#pool === pool && repeats(error) }
  }

  /**
   * A migration that changes the columns of a table makes every prepared `SELECT *` of it fail, on connections that are open
   * for as long as they are. Under another name it is prepared again.
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
        'The runtime does not know which database to talk to. Set DATABASE_URL, or pass `connectionString` to connect(prisma, …). ' +
          "Where it is in a .env file, somebody has to read that first: import 'dotenv/config' at the top of the program.",
      )
    }
    return new RuntimePool(connectionString, poolSize ?? 10)
  }
}

/** How long a call waits for a connection of the PrismaClient: more calls run at a time than it has. Milliseconds. */
const MAX_WAIT = 60_000

/** For how long a statement is tried again while somebody waits for it. */
const IMPATIENT = { within: 3000, longestPause: 500 }

/** For how long the end of a run is tried to be stored. Its call has run, and would run again. */
const PATIENT = { within: 600_000, longestPause: 5000 }

function mayRepeat({ once, answersLocked }: Statement, error: unknown): boolean {
  if (answersLocked && (error as pg.DatabaseError).code === LOCK_NOT_AVAILABLE) return false
  return once ? hasNotCommitted(error) : isTransient(error)
}

export const LOCK_NOT_AVAILABLE = '55P03'

const types: pg.CustomTypesConfig = {
  getTypeParser: (type: number, format?: 'text' | 'binary') =>
    PARSERS.get(type) ?? pg.types.getTypeParser(type, format as 'text'),
}

const MAX_NAME = 63

/** PostgreSQL cuts longer names, and would take two of them for one. */
function prepared(statement: Statement, values: unknown[], generation: number): pg.QueryConfig {
  const { text } = statement
  const name = generation === 0 ? statement.name : `${generation}:${statement.name}`
  if (name.length <= MAX_NAME) return { name, text, values, types }
  return { name: createHash('sha256').update(name).digest('hex').slice(0, MAX_NAME), text, values, types }
}

// A pool of the host's and a pooler have settings of their own. A statement that waits for a lock ends within seconds, so that one locked
// table does not hold up what is to be done with the others; a process that is frozen ends as soon, and with it the locks that it holds.
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
