/** The parts of the client of Prisma 8 that the runtime uses. `postgres()` of `@prisma/orm-postgres/runtime` returns it. */
export interface Prisma8ClientLike {
  // biome-ignore-start lint/suspicious/noExplicitAny: the types of Prisma 8 depend on the contract
  transaction(run: (tx: any) => PromiseLike<any>): Promise<any>
  runtime(): { query(plan: any): PromiseLike<unknown[]> }
  /** Makes plans of SQL. */
  readonly raw: { sql: any }
  // biome-ignore-end lint/suspicious/noExplicitAny: the types of Prisma 8 depend on the contract
  /** The models, by the database schema and their name. */
  readonly orm: object
  readonly contract: object
}

/** What `transaction` passes to its callback. */
export interface Prisma8TransactionLike {
  // biome-ignore lint/suspicious/noExplicitAny: the types of plans depend on the contract
  query(plan: any): PromiseLike<unknown[]>
  readonly orm: object
}

export type Prisma8TransactionOf<Client> =
  // biome-ignore lint/suspicious/noExplicitAny: only the parameter of the callback matters
  Client extends { transaction(run: (tx: infer Tx) => any): any } ? (unknown extends Tx ? never : Tx) : never

/** Transactions of clients with the same models. */
export type Prisma8TransactionFor<Client extends Prisma8ClientLike> = Prisma8TransactionLike & Pick<Client, 'orm'>

/** `Order` for a model in the schema `public`, `billing.Invoice` for one in another. */
export type Prisma8ModelOf<Client> = keyof Prisma8ModelsOf<Client> & string

/** The records of the models, with their scalar fields. */
export type Prisma8ModelsOf<Client> = Client extends { readonly orm: infer Orm }
  ? UnionToIntersection<Named<Orm>>
  : never

/** A union with one member for each schema. */
type Named<Orm> = {
  [Schema in keyof Orm & string]: {
    [Model in keyof Orm[Schema] & string as Schema extends 'public' ? Model : `${Schema}.${Model}`]: Row<
      Orm[Schema][Model]
    >
  }
}[keyof Orm & string]

// biome-ignore lint/suspicious/noExplicitAny: only the rows matter
type Row<Collection> = Collection extends { all(...args: any[]): PromiseLike<(infer Each)[]> } ? Each : never

type UnionToIntersection<Union> = (Union extends unknown ? (each: Union) => void : never) extends (
  each: infer All,
) => void
  ? All
  : never
