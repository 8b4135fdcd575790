import { AsyncGenError } from '../errors.js'
import type { Field, TransactionLike } from './client.js'
import { type DecimalClass, decimalOf } from './decimal.js'
import { isTransactionOpen, watchTransactions } from './open-transactions.js'
import type { Orm } from './orm.js'
import type { Prisma8ClientLike, Prisma8TransactionLike } from './prisma-8-client.js'
import { readRows } from './prisma-8-rows.js'
import { openPrisma8Transaction, withinTimeout } from './prisma-8-transaction.js'
import type { OpenTransaction } from './transaction.js'

/** Whether a client is one of Prisma 8: `postgres()` of `@prisma/orm-postgres/runtime` returns it. */
export function isPrisma8(client: object): client is Prisma8ClientLike {
  const { transaction, runtime, orm, contract } = client as Partial<Prisma8ClientLike>
  return (
    typeof transaction === 'function' && typeof runtime === 'function' && orm !== undefined && contract !== undefined
  )
}

/** A client of Prisma 8, a preview. */
export class Prisma8<Client extends Prisma8ClientLike> implements Orm<Client> {
  readonly client: Client
  #plan: object | undefined

  constructor(client: Client) {
    this.client = client
  }

  /** Prisma 8 itself reads decimals as strings. */
  async loadDecimal(): Promise<DecimalClass> {
    return await decimalOf(undefined)
  }

  requireTransaction(given: TransactionLike): asserts given is Prisma8TransactionLike {
    const tx = given as unknown
    const isObject = typeof tx === 'object' && tx !== null
    if (isObject && 'query' in tx && 'orm' in tx && !('transaction' in tx)) return
    throw new AsyncGenError(
      'NOT_A_TRANSACTION',
      `\`tx\` is ${isObject && isPrisma8(tx) ? 'a client of Prisma 8 itself' : typeof tx}, not a transaction of it. ` +
        'Pass the argument of the callback: db.transaction(async (tx) => …). Without a transaction, leave `tx` out.',
    )
  }

  async queryWithin<Row>(tx: TransactionLike, text: string, values: unknown[]): Promise<Row[]> {
    this.requireTransaction(tx)
    return await this.#send<Row>(tx, text, values)
  }

  async query<Row>(text: string, values: unknown[]): Promise<Row[]> {
    return await this.#send<Row>(this.client.runtime(), text, values)
  }

  async transaction<Result>(run: (tx: TransactionLike) => Promise<Result>, timeout: number): Promise<Result> {
    return await this.client.transaction((tx) => withinTimeout(tx, timeout, () => run(tx)))
  }

  openTransaction(timeout: number): Promise<Omit<OpenTransaction<Client>, 'cancelStatement'>> {
    return openPrisma8Transaction(this.client, timeout)
  }

  fieldsOf(model: string): Field[] {
    const definition = modelsOf(this.client).get(model)
    const columns = definition?.storage.fields ?? {}
    return Object.entries(definition?.fields ?? {}).map(([name, { type, many }]) => {
      const column = columns[name]?.column ?? name
      // A value object is stored as JSON.
      const kind = type.kind === 'scalar' ? typeOf(type.codecId) : 'Json'
      return { name, column, type: kind, ...(many && { isTextOfList: true }) }
    })
  }

  requireModel(model: string): void {
    const models = modelsOf(this.client)
    if (models.has(model)) return
    const known = [...models.keys()].join(', ')
    throw new AsyncGenError(
      'UNKNOWN_MODEL',
      `The contract has no model "${model}". Its models are: ${known}. If it has changed, run \`npx prisma contract emit\`.`,
    )
  }

  async findRecord(model: string, where: object, tx: TransactionLike | undefined): Promise<object | null> {
    return await this.#collectionOf(model, tx).where(where).first()
  }

  async existing(
    model: string,
    records: Record<string, unknown>[],
    tx: TransactionLike | undefined,
  ): Promise<Record<string, unknown>[]> {
    const fields = Object.keys(records[0] ?? {})
    const [field] = fields
    if (field === undefined) return []
    const selected = this.#collectionOf(model, tx).select(...fields)
    if (fields.length === 1) {
      const values = records.map((record) => record[field])
      return await selected.where((row) => row[field]!.in(values)).all()
    }
    const found: Record<string, unknown>[] = []
    // The functions that combine conditions belong to the host's copy of Prisma 8.
    for (const record of records) found.push(...(await selected.where(record).limit(1).all()))
    return found
  }

  /** Clients of Prisma 8 cannot be extended. */
  isSameAs(client: object): boolean {
    return this.client === client
  }

  watchTransactions(): void {
    watchTransactions(this.client)
  }

  isTransactionOpen(): boolean {
    return isTransactionOpen(this.client)
  }

  /** The client does not give its pool to anybody. */
  destroyConnections(): boolean {
    return false
  }

  /** A client that was closed opens no connections again. Those of its pool are closed when they have been idle for 30 seconds. */
  async disconnect(): Promise<void> {}

  async #send<Row>(queryable: Prisma8TransactionLike | QueryOnly, text: string, values: unknown[]): Promise<Row[]> {
    // A plan that counts rows decodes no columns, so its rows are those of pg. It is lowered already: Prisma sends its text as it is.
    this.#plan ??= this.client.raw.sql`SELECT`.affectedCount().build() as object
    try {
      return readRows(await queryable.query({ ...this.#plan, sql: `${BEGINNING}${text}`, params: values }))
    } catch (error) {
      throw errorOfPg(error)
    }
  }

  #collectionOf(model: string, tx: TransactionLike | undefined): Collection {
    this.requireModel(model)
    const { orm } = (tx as Prisma8TransactionLike | undefined) ?? this.client
    const [name, schema = 'public'] = model.split('.').reverse()
    return (orm as Record<string, Record<string, Collection>>)[schema]![name!]!
  }
}

/** Prisma's middleware `lints` does not check a statement that begins with a comment. It would refuse a SELECT without LIMIT. */
const BEGINNING = '/* async-gen */ '

type QueryOnly = Pick<Prisma8TransactionLike, 'query'>

/** The queries of a model. */
interface Collection {
  where(condition: object | ((row: Record<string, { in(values: unknown[]): unknown }>) => unknown)): Collection
  select(...fields: string[]): Collection
  limit(rows: number): Collection
  first(): Promise<object | null>
  all(): PromiseLike<Record<string, unknown>[]>
}

interface ModelDefinition {
  fields: Record<string, { type: { kind: string; codecId?: string }; many?: boolean }>
  storage: { fields: Record<string, { column?: string } | undefined> }
}

/** The models of a contract: `Order` for one in the schema `public`, `billing.Invoice` for one in another. */
function modelsOf({ contract }: Prisma8ClientLike): Map<string, ModelDefinition> {
  const { domain } = contract as {
    domain: { namespaces: Record<string, { models?: Record<string, ModelDefinition> }> }
  }
  return new Map(
    Object.entries(domain.namespaces).flatMap(([schema, { models = {} }]) =>
      Object.entries(models).map(([name, model]) => [schema === 'public' ? name : `${schema}.${name}`, model] as const),
    ),
  )
}

/** Prisma 7's names of types, but `Numeric` for a decimal that is a string: the runtime reads the columns that the host has added. */
const TYPES: readonly (readonly [RegExp, string])[] = [
  [/^pg\/(int2|int4|int8number)@/, 'Int'],
  [/^pg\/int8@/, 'BigInt'],
  [/^pg\/numeric@/, 'Numeric'],
  [/^pg\/float[48]@/, 'Float'],
  [/^pg\/bool@/, 'Boolean'],
  [/^pg\/(timestamp|timestamptz|date)\b/, 'DateTime'],
  [/^pg\/jsonb?@/, 'Json'],
  [/^pg\/bytea@/, 'Bytes'],
]

function typeOf(codec = ''): string {
  return TYPES.find(([pattern]) => pattern.test(codec))?.[1] ?? 'String'
}

/** The error of pg, as the runtime's own connections throw it. Prisma 8 has no SQLSTATE in `code`. */
function errorOfPg(error: unknown): unknown {
  const { sqlState, cause } = error as { sqlState?: unknown; cause?: unknown }
  return sqlState !== undefined && cause instanceof Error ? cause : error
}
