import { createHash } from 'node:crypto'
import pg from 'pg'
import { type Duration, milliseconds } from './duration.js'
import { AsyncGenError, notMigrated } from './errors.js'
import { watchTransactions } from './open-transactions.js'
import { PARSERS } from './parsers.js'
import { livingWorkersOf, type WorkerInfo } from './presence.js'
import {
  delegateOf,
  type Field,
  fieldsOf,
  type OneOf,
  type PrismaClientLike,
  requireTransaction,
  type TransactionLike,
  type TransactionOf,
} from './prisma.js'

export interface ConnectOptions {
  /** The URL of the database that the PrismaClient talks to, such as `process.env.DATABASE_URL`. */
  connectionString?: string | undefined
  /** A pool of your own, in place of `connectionString`. */
  pool?: pg.Pool
  /** How many connections the runtime's own pool may open. Default: 10. */
  poolSize?: number
  /** How long a call may keep the transaction that it asked for open. Default: 10 minutes. */
  transactionTimeout?: Duration
}

/** One SQL statement, prepared under its name on each connection. */
export interface Statement {
  name: string
  text: string
}

/** A transaction that stays open until it is told how to end. */
export interface OpenTransaction<Client> {
  tx: TransactionOf<Client>
  commit(): Promise<void>
  rollback(): Promise<void>
}

/** Runs a statement and returns its rows, on the pool or inside a transaction of the host's. */
export type Query = <Row>(statement: Statement, values: unknown[]) => Promise<Row[]>

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
  #pool: pg.Pool | undefined
  /** How often statements were prepared anew under another name. */
  #generation = 0
  readonly #transactionIds = new WeakMap<object, Promise<string>>()
  readonly #connections = new Set<pg.Client>()

  constructor(prisma: Client, options: ConnectOptions) {
    this.prisma = prisma
    this.#options = options
    this.#transactionTimeout = milliseconds(options.transactionTimeout ?? '10 minutes')
    if (process.env.NODE_ENV !== 'production') watchTransactions(prisma)
  }

  /** The runtime's own connections, opened when they are first needed. */
  get pool(): pg.Pool {
    this.#pool ??= this.#options.pool ?? this.#openPool()
    return this.#pool
  }

  /** Runs a statement on the runtime's own pool, committed at once. */
  query: Query = async <Row>(statement: Statement, values: unknown[]) => {
    const send = () => this.pool.query(prepared(statement, values, this.#generation))
    try {
      return (await send()).rows as Row[]
    } catch (error) {
      const missing = notMigrated(error)
      if (missing) throw missing
      this.#prepareAnew(error as pg.DatabaseError)
      return (await send()).rows as Row[]
    }
  }

  /** Runs statements in one transaction of the runtime's own. */
  async transaction<Result>(run: (query: Query) => Promise<Result>): Promise<Result> {
    const client = await this.pool.connect()
    let broken = false
    try {
      await client.query('BEGIN')
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
      client.release(broken)
    }
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
  openTransaction(): Promise<OpenTransaction<Client>> {
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
    const living = await livingWorkersOf(this, only.task)
    return living.filter(({ poolId }) => poolId !== null)
  }

  /**
   * Gives up all connections of the runtime's own pool and of the PrismaClient, with what they have under way: after a failover
   * nobody may be at their other end, and TCP would wait a quarter of an hour for an answer. New ones are opened when they are needed.
   */
  dropConnections(): void {
    for (const connection of this.#connections) streamOf(connection).destroy()
    this.disconnectPrisma().catch(() => {})
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

  /**
   * A migration that changes the columns of a table makes every prepared `SELECT *` of it fail, on connections that are open
   * for as long as they are. Under another name it is prepared anew. Rethrows what is no such failure.
   */
  #prepareAnew(error: pg.DatabaseError): void {
    if (error.code !== '0A000' || error.routine !== 'RevalidateCachedQuery') throw error
    this.#generation++
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
    const connections = this.#connections
    class Connection extends pg.Client {
      constructor(config?: pg.ClientConfig) {
        super({ ...config, connectionTimeoutMillis: CONNECT_WITHIN })
        connections.add(this)
        this.once('end', () => connections.delete(this))
      }
    }
    const settings = { max: poolSize ?? 10, allowExitOnIdle: true, Client: Connection }
    const pool = new pg.Pool({ connectionString, ...inSchemaOf(connectionString), ...settings })
    // A connection that the server closes is replaced at the next query; without listeners it would end the process.
    pool.on('error', () => {})
    pool.on('connect', (client) => client.on('error', () => {}))
    return pool
  }
}

/** How long opening a connection may take, in milliseconds. Waiting for one that others hold may take longer. */
const CONNECT_WITHIN = 10_000

/** How long a call waits for a connection of the PrismaClient: more calls run at a time than it has. Milliseconds. */
const MAX_WAIT = 60_000

const types: pg.CustomTypesConfig = {
  getTypeParser: (type: number, format?: 'text' | 'binary') =>
    PARSERS.get(type) ?? pg.types.getTypeParser(type, format as 'text'),
}

/** Prisma's URLs may name the schema that the tables are in, of which pg knows nothing: `?schema=shop`. */
function inSchemaOf(connectionString: string): pg.PoolConfig {
  const schema = URL.canParse(connectionString) && new URL(connectionString).searchParams.get('schema')
  if (!schema || schema === 'public') return {}
  const quoted = `"${schema.replaceAll('"', '""')}"`.replaceAll(/[\\ ]/g, '\\$&')
  return { options: `-c search_path=${quoted},public` }
}

// pg's clients have it, its types do not.
function streamOf(client: object): { destroy(): void } {
  return (client as { connection: { stream: { destroy(): void } } }).connection.stream
}

const MAX_NAME = 63

/** PostgreSQL cuts longer names, and would take two of them for one. */
function prepared(statement: Statement, values: unknown[], generation: number): pg.QueryConfig {
  const { text } = statement
  const name = generation === 0 ? statement.name : `${generation}:${statement.name}`
  if (name.length <= MAX_NAME) return { name, text, values, types }
  return { name: createHash('sha256').update(name).digest('hex').slice(0, MAX_NAME), text, values, types }
}

const readTransactionId: Statement = {
  name: 'async-gen:transaction-id',
  text: 'SELECT pg_current_xact_id()::text AS id',
}
