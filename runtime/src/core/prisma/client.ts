import { AsyncGenError } from '../errors.js'
import type {
  Prisma8ClientLike,
  Prisma8ModelOf,
  Prisma8ModelsOf,
  Prisma8TransactionFor,
  Prisma8TransactionLike,
  Prisma8TransactionOf,
} from './prisma-8-client.js'

/** The methods of a client that the runtime uses: of a PrismaClient of Prisma 6 or 7, or of the client of Prisma 8. */
export type PrismaClientLike = Prisma7ClientLike | Prisma8ClientLike

/** The methods of a PrismaClient that the runtime uses. Clients extended with `$extends` have them too. */
export interface Prisma7ClientLike {
  // biome-ignore lint/suspicious/noExplicitAny: Prisma overloads $transaction; only the form with a callback is called here
  $transaction(...args: any[]): Promise<any>
  $queryRawUnsafe<T = unknown>(query: string, ...values: unknown[]): PromiseLike<T>
}

/**
 * A client whose type is a union (`PrismaClient | typeof extended`, a read replica behind a flag) cannot be called, because the
 * signatures of its members differ. All of them have the same models, so one member is used for all.
 */
export type OneOf<Client extends PrismaClientLike> =
  GettersOf<Client> extends (each: infer Getter) => void
    ? Getter extends () => infer One
      ? One extends PrismaClientLike
        ? One
        : never
      : never
    : never

/** A function for each member. Inferring their parameter gives an intersection of getters, of which the compiler infers the last. */
type GettersOf<Client> = Client extends unknown ? (each: () => Client) => void : never

/**
 * The client that `$transaction` passes to its callback, as Prisma declares it: since Prisma 7.10 it has nested transactions. A client
 * whose type does not say it passes one of its own type.
 */
// biome-ignore lint/suspicious/noExplicitAny: only the parameter of the callback matters
export type TransactionOf<Client> = Client extends { $transaction(run: (tx: infer Tx) => any, options?: any): any }
  ? unknown extends Tx
    ? Omit<Client, '$connect' | '$disconnect' | '$on' | '$extends'>
    : Tx
  : Prisma8TransactionOf<Client>

/**
 * The transactions that are accepted for a client: its models, and raw SQL. A class that extends PrismaClient may have other methods,
 * which Prisma's transactions do not have.
 */
export type TransactionFor<Client> = unknown extends Client
  ? TransactionLike
  : Client extends Prisma8ClientLike
    ? Prisma8TransactionFor<Client>
    : Pick<Client, Prisma7ModelOf<Client>> & Prisma7TransactionLike

/** The methods of a transaction of the host's that the runtime uses. */
export type TransactionLike = Prisma7TransactionLike | Prisma8TransactionLike

export type Prisma7TransactionLike = Pick<Prisma7ClientLike, '$queryRawUnsafe'>

/** The models of a client: the names of its properties, and with Prisma 8 those in the contract. */
export type ModelOf<Client> = Client extends Prisma8ClientLike ? Prisma8ModelOf<Client> : Prisma7ModelOf<Client>

type Prisma7ModelOf<Client> = {
  [K in keyof Client]: Client[K] extends { findUnique: unknown } ? K : never
}[keyof Client] &
  string

/** The scalar fields of a model's record. */
export type RecordOf<Client, Model> = Client extends Prisma8ClientLike
  ? Model extends keyof Prisma8ModelsOf<Client>
    ? Prisma8ModelsOf<Client>[Model]
    : never
  : Model extends keyof Client
    ? Client[Model] extends { [K: symbol]: { types: { payload: { scalars: infer Scalars } } } }
      ? Scalars
      : never
    : never

/** A scalar field of a model, and the column that it is stored in. */
export interface Field {
  name: string
  column: string
  /** Prisma's type: `String`, `BigInt`, the name of an enum. */
  type: string
  /** Whether SQL through the client gives PostgreSQL's text of a list, `{1,2}`. */
  isTextOfList?: boolean
}

/** The scalar fields of a model. */
export function fieldsOf(client: object, model: string): Field[] {
  // An internal property of every client. Without it, columns are assumed to have the names of their fields.
  const { _runtimeDataModel: data } = client as { _runtimeDataModel?: DataModel }
  const fields = data?.models[model]?.fields.filter(({ kind }) => kind !== 'object') ?? []
  return fields.map(({ name, dbName, type }) => ({ name, column: dbName ?? name, type }))
}

interface DataModel {
  models: Record<string, { fields: { name: string; dbName?: string | null; kind: string; type: string }[] } | undefined>
}

/** The queries of a model. */
export function delegateOf(client: object, model: string): Delegate {
  const delegate = (client as Record<string, unknown>)[model] as Partial<Delegate> | undefined
  if (typeof delegate?.findFirst === 'function') return delegate as Delegate
  const { _runtimeDataModel: data } = client as { _runtimeDataModel?: DataModel }
  const models = Object.keys(data?.models ?? {}).map((name) => name[0]!.toLowerCase() + name.slice(1))
  const known = models.length > 0 ? ` Its models are: ${models.join(', ')}.` : ''
  throw new AsyncGenError('UNKNOWN_MODEL', `The PrismaClient has no model "${model}".${known}`)
}

export interface Delegate {
  findFirst(args: { where: object }): Promise<object | null>
  findMany(args: { where: object; select: object }): Promise<Record<string, unknown>[]>
}

/** A client extension that adds methods to rows and models. */
// biome-ignore lint/suspicious/noExplicitAny: Prisma's own types use any for the client of an extension
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
 * Creates a client extension that adds a method for each item, listed by model and name.
 *
 * @param ofRow creates the method of a row from its record with all scalar fields
 * @param ofModel creates the method of a model; `tx` is the transaction that it is called on, if any
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

/** The client of a transaction has no `$connect`. */
function isTransaction(client: object): boolean {
  return !('$connect' in client)
}

/** @throws AsyncGenError NOT_A_TRANSACTION for a PrismaClient, and for anything that cannot run SQL */
export function requireTransaction(tx: TransactionLike): asserts tx is Prisma7TransactionLike {
  const given = tx as unknown
  if (typeof given === 'object' && given !== null && '$queryRawUnsafe' in given && isTransaction(given)) return
  const isClient = typeof given === 'object' && given !== null && '$connect' in given
  throw new AsyncGenError(
    'NOT_A_TRANSACTION',
    `\`tx\` is ${isClient ? 'a PrismaClient itself' : typeof given}, not a transaction of it. ` +
      'Pass the argument of the callback: prisma.$transaction(async (tx) => …). Without a transaction, leave `tx` out.',
  )
}

function mapByModel<Value, Result>(listed: ByModel<Value>, map: (value: Value, model: string) => Result) {
  const mapNamed = ([model, named]: [string, Record<string, Value>]) => [
    model,
    Object.fromEntries(Object.entries(named).map(([name, value]) => [name, map(value, model)])),
  ]
  return Object.fromEntries(Object.entries(listed).map(mapNamed))
}
