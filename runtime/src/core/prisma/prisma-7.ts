import {
  type Delegate,
  delegateOf,
  type Field,
  fieldsOf,
  type Prisma7ClientLike,
  type Prisma7TransactionLike,
  requireTransaction,
  type TransactionLike,
} from './client.js'
import { PrismaConnections } from './connections.js'
import { type DecimalClass, decimalOf } from './decimal.js'
import { isTransactionOpen, watchTransactions } from './open-transactions.js'
import type { Orm } from './orm.js'
import { type OpenTransaction, openTransaction } from './transaction.js'

/** A client of Prisma 7. */
export class Prisma7<Client extends Prisma7ClientLike> implements Orm<Client> {
  readonly client: Client
  readonly #connections: PrismaConnections

  constructor(client: Client) {
    this.client = client
    this.#connections = new PrismaConnections(client)
  }

  async loadDecimal(): Promise<DecimalClass> {
    return await decimalOf((this.client as { _clientVersion?: string })._clientVersion)
  }

  requireTransaction(tx: TransactionLike): void {
    requireTransaction(tx)
  }

  async queryWithin<Row>(tx: TransactionLike, text: string, values: unknown[]): Promise<Row[]> {
    return await (tx as Prisma7TransactionLike).$queryRawUnsafe<Row[]>(text, ...values)
  }

  async query<Row>(text: string, values: unknown[]): Promise<Row[]> {
    return await this.client.$queryRawUnsafe<Row[]>(text, ...values)
  }

  async transaction<Result>(run: (tx: TransactionLike) => Promise<Result>, timeout: number): Promise<Result> {
    return await this.client.$transaction(run, { timeout, maxWait: timeout })
  }

  openTransaction(timeout: number): Promise<Omit<OpenTransaction<Client>, 'cancelStatement'>> {
    return openTransaction(this.client, timeout)
  }

  fieldsOf(model: string): Field[] {
    return fieldsOf(this.client, model)
  }

  requireModel(model: string): void {
    delegateOf(this.client, model)
  }

  async findRecord(model: string, where: object, tx: TransactionLike | undefined): Promise<object | null> {
    return await this.#delegateOf(model, tx).findFirst({ where })
  }

  async existing(
    model: string,
    records: Record<string, unknown>[],
    tx: TransactionLike | undefined,
  ): Promise<Record<string, unknown>[]> {
    const select = Object.fromEntries(Object.keys(records[0] ?? {}).map((field) => [field, true]))
    return records.length === 0 ? [] : await this.#delegateOf(model, tx).findMany({ where: { OR: records }, select })
  }

  isSameAs(client: object): boolean {
    return originalOf(this.client) === originalOf(client)
  }

  watchTransactions(): void {
    watchTransactions(this.client)
  }

  isTransactionOpen(): boolean {
    return isTransactionOpen(this.client)
  }

  destroyConnections(): boolean {
    return this.#connections.destroy()
  }

  async disconnect(): Promise<void> {
    await (this.client as { $disconnect?(): Promise<void> }).$disconnect?.()
  }

  #delegateOf(model: string, tx: TransactionLike | undefined): Delegate {
    return delegateOf(tx ?? this.client, model)
  }
}

/** The client from which an extended one was made. An internal property of every PrismaClient. */
function originalOf(client: object): object {
  return (client as { _originalClient?: object })._originalClient ?? client
}
