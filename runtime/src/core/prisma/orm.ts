import type { Field, TransactionLike } from './client.js'
import type { DecimalClass } from './decimal.js'
import type { OpenTransaction } from './transaction.js'

/** All that the runtime asks of the ORM to which a client belongs. There is one file for each implementation. */
export interface Orm<Client> {
  readonly client: Client
  /** The class of the client's decimals. */
  loadDecimal(): Promise<DecimalClass>

  /** @throws AsyncGenError NOT_A_TRANSACTION for the client itself, and for anything that cannot run SQL */
  requireTransaction(tx: TransactionLike): void
  /** Runs a statement in a transaction of the client. */
  queryWithin<Row>(tx: TransactionLike, text: string, values: unknown[]): Promise<Row[]>
  /** Runs a statement on any connection of the client. */
  query<Row>(text: string, values: unknown[]): Promise<Row[]>

  /**
   * Runs a function in a transaction of the client, which commits when the function has returned.
   * @param timeout how long it may take, and how long to wait for a connection, in milliseconds
   */
  transaction<Result>(run: (tx: TransactionLike) => Promise<Result>, timeout: number): Promise<Result>
  /**
   * Opens a transaction that ends when the caller says so.
   * @param timeout after how many milliseconds the client rolls it back
   */
  openTransaction(timeout: number): Promise<Omit<OpenTransaction<Client>, 'cancelStatement'>>

  /** The scalar fields of a model; none if the client does not say them. */
  fieldsOf(model: string): Field[]
  /** @throws AsyncGenError UNKNOWN_MODEL, which lists the models */
  requireModel(model: string): void
  /** Finds a record by its fields, in a transaction of the client if one is given. Null if there is none. */
  findRecord(model: string, where: object, tx: TransactionLike | undefined): Promise<object | null>
  /** Which of these records exist, with the given fields only. */
  existing(
    model: string,
    records: Record<string, unknown>[],
    tx: TransactionLike | undefined,
  ): Promise<Record<string, unknown>[]>

  /** Whether another client was extended from this one, or this one from it, or both from a third. */
  isSameAs(client: object): boolean
  /** Makes the client's transactions known to `isTransactionOpen`. For development and tests. */
  watchTransactions(): void
  /** Whether the caller runs in the callback of a watched transaction that is open. */
  isTransactionOpen(): boolean

  /** Closes all connections at once. Their statements fail. Returns whether any connection is known. */
  destroyConnections(): boolean
  /** Closes all connections in order. The client opens new ones when it is used again. */
  disconnect(): Promise<void>
}
