import { createHash } from 'node:crypto'
import { Decimal } from '@prisma/client/runtime/client'
import pg from 'pg'
import { type Duration, milliseconds } from './duration.js'
import { AsyncGenError } from './errors.js'
import { livingWorkersOf, type WorkerInfo } from './presence.js'

/** The class of the PrismaClient's decimals: what the generated client exports as `Prisma.Decimal`. */
export { Decimal }

/** What the runtime asks of a PrismaClient. Clients extended with `$extends` have it too. */
export interface PrismaClientLike {
  // biome-ignore lint/suspicious/noExplicitAny: Prisma overloads $transaction; only the form with a callback is called here
  $transaction(...args: any[]): Promise<any>
  $queryRawUnsafe<T = unknown>(query: string, ...values: unknown[]): PromiseLike<T>
}

/** The client that `$transaction` hands to its callback. */
export type TransactionOf<Client> = Omit<
  Client,
  '$connect' | '$disconnect' | '$on' | '$use' | '$extends' | '$transaction'
>

/** The models of a client, by the names of its properties. */
export type ModelOf<Client> = {
  [K in keyof Client]: Client[K] extends { findUnique: unknown } ? K : never
}[keyof Client] &
  string

/** The scalar fields of a model's record. */
export type RecordOf<Delegate> = Delegate extends { [K: symbol]: { types: { payload: { scalars: infer Scalars } } } }
  ? Scalars
  : never

/** What `$extends` takes, for methods on the rows of models and on the models themselves. */
// biome-ignore lint/suspicious/noExplicitAny: Prisma types the client of an extension as any, too
export type ClientExtension<Rows, Models> = (client: any) => {
  $extends: {
    extArgs: {
      result: { [M in keyof Rows]: { [N in keyof Rows[M]]: () => { compute: () => Rows[M][N] } } }
      model: { [M in keyof Models]: { [N in keyof Models[M]]: () => Models[M][N] } }
      query: Record<never, never>
      client: Record<never, never>
    }
  }
}

/** By model and name. */
type ByModel<Value> = Record<string, Record<string, Value>>

type Method = (...args: never[]) => unknown

/**
 * A client extension that makes methods of something that is listed by model and name.
 *
 * @param ofRow the method of a row, given its record with all scalar fields
 * @param ofModel the method of a model, given the transaction in which it is called, if it is called in one
 */
export function extendClient<Listed, Rows, Models>(
  listed: ByModel<Listed>,
  ofRow: (each: Listed, record: object) => Method,
  ofModel: (each: Listed, tx: TransactionLike | undefined) => Method,
): ClientExtension<Rows, Models> {
  return (client) => {
    const everyField = (model: string) =>
      Object.fromEntries(Object.keys(client[model].fields).map((name) => [name, true]))
    const result = mapByModel(listed, (each, model) => {
      return { needs: everyField(model), compute: (record: object) => ofRow(each, record) }
    })
    const model = mapByModel(listed, (each) => {
      return function (this: { $parent: TransactionLike }, ...args: never[]) {
        return ofModel(each, isTransaction(this.$parent) ? this.$parent : undefined)(...args)
      }
    })
    return client.$extends({ result, model })
  }
}

/** A transaction's client can do less than the client itself. */
function isTransaction(client: object): boolean {
  return !('$connect' in client)
}

function mapByModel<Value, Result>(listed: ByModel<Value>, map: (value: Value, model: string) => Result) {
  const mapNamed = ([model, named]: [string, Record<string, Value>]) => [
    model,
    Object.fromEntries(Object.entries(named).map(([name, value]) => [name, map(value, model)])),
  ]
  return Object.fromEntries(Object.entries(listed).map(mapNamed))
}

/** What the runtime asks of a transaction of the host's. */
export type TransactionLike = Pick<PrismaClientLike, '$queryRawUnsafe'>

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

interface DataModel {
  models: Record<string, { fields: { name: string; dbName?: string | null; kind: string }[] } | undefined>
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
): BoundDatabase<Client> {
  return new BoundDatabase(prisma, options)
}

/** A database bound to whatever client. */
// biome-ignore lint/suspicious/noExplicitAny: the runtime's own code does not care which models a client has
export type Database = BoundDatabase<any>

export class BoundDatabase<Client extends PrismaClientLike> {
  readonly prisma: Client
  readonly #options: ConnectOptions
  #pool: pg.Pool | undefined
  /** How often statements were prepared anew under another name. */
  #generation = 0
  readonly #transactionIds = new WeakMap<object, Promise<string>>()

  constructor(prisma: Client, options: ConnectOptions) {
    this.prisma = prisma
    this.#options = options
  }

  /** The runtime's own connections, opened when they are first needed. */
  get pool(): pg.Pool {
    this.#pool ??= this.#options.pool ?? this.#openPool()
    return this.#pool
  }

  /** Runs a statement on the runtime's own pool, committed at once. */
  query: Query = async <Row>(statement: Statement, values: unknown[]) => {
    const run = async () => (await this.pool.query(prepared(statement, values, this.#generation))).rows as Row[]
    return await run().catch((error) => {
      this.#prepareAnew(error)
      return run()
    })
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
      throw error
    } finally {
      client.release(broken)
    }
  }

  /** Runs statements inside a transaction of the host's. */
  within(tx: TransactionLike): Query {
    return async <Row>(statement: Statement, values: unknown[]) =>
      await tx.$queryRawUnsafe<Row[]>(statement.text, ...values)
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
    }
    return id
  }

  /** The scalar fields of a model, each with the column that it is stored in. */
  columnsOf(model: string): Map<string, string> {
    // Prisma keeps this for itself, though it is on every client; without it, fields are taken to be named like columns.
    const { _runtimeDataModel: data } = this.prisma as { _runtimeDataModel?: DataModel }
    const fields = data?.models[model]?.fields.filter(({ kind }) => kind !== 'object') ?? []
    return new Map(fields.map(({ name, dbName }) => [name, dbName ?? name]))
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
        { timeout: milliseconds(this.#options.transactionTimeout ?? '10 minutes'), maxWait: MAX_WAIT },
      )
      ended.catch(reject)
    })
  }

  /** The record of a model with these values, or null. */
  async findRecord(model: string, where: object): Promise<object | null> {
    return await this.#delegate(model).findFirst({ where })
  }

  /** Of several records, those that exist: nothing but the fields that they were looked for by. */
  async existing(model: string, records: Record<string, unknown>[]): Promise<Record<string, unknown>[]> {
    const select = Object.fromEntries(Object.keys(records[0] ?? {}).map((field) => [field, true]))
    return records.length === 0 ? [] : await this.#delegate(model).findMany({ where: { OR: records }, select })
  }

  #delegate(model: string): Delegate {
    const delegate = (this.prisma as Record<string, unknown>)[model] as Partial<Delegate> | undefined
    if (typeof delegate?.findFirst === 'function') return delegate as Delegate
    throw new AsyncGenError('UNKNOWN_MODEL', `The PrismaClient has no model "${model}".`)
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
  #prepareAnew(error: { code?: string; routine?: string }): void {
    if (error.code !== '0A000' || error.routine !== 'RevalidateCachedQuery') throw error
    this.#generation++
  }

  #openPool(): pg.Pool {
    const { connectionString, poolSize } = this.#options
    if (!connectionString) {
      throw new AsyncGenError(
        'NO_CONNECTION_STRING',
        'The runtime does not know which database to talk to. Set DATABASE_URL, or pass `connectionString` to connect(prisma, …).',
      )
    }
    const pool = new pg.Pool({ connectionString, max: poolSize ?? 10, allowExitOnIdle: true })
    // A connection that the server closes is replaced at the next query; without listeners it would end the process.
    pool.on('error', () => {})
    pool.on('connect', (client) => client.on('error', () => {}))
    return pool
  }
}

/** How long a call waits for a connection of the PrismaClient: more calls run at a time than it has. Milliseconds. */
const MAX_WAIT = 60_000

const MAX_NAME = 63

/** PostgreSQL cuts longer names, and would take two of them for one. */
function prepared(statement: Statement, values: unknown[], generation: number): pg.QueryConfig {
  const { text } = statement
  const name = generation === 0 ? statement.name : `${generation}:${statement.name}`
  if (name.length <= MAX_NAME) return { name, text, values }
  return { name: createHash('sha256').update(name).digest('hex').slice(0, MAX_NAME), text, values }
}

/** The queries of a model. */
interface Delegate {
  findFirst(args: { where: object }): Promise<object | null>
  findMany(args: { where: object; select: object }): Promise<Record<string, unknown>[]>
}

const readTransactionId: Statement = {
  name: 'async-gen:transaction-id',
  text: 'SELECT pg_current_xact_id()::text AS id',
}
