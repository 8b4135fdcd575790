import type { BoundDatabase } from '../core/database.js'
import type { Encryptor } from '../core/encryptor.js'
import type { PrismaClientLike } from '../core/prisma/client.js'
import type { AttemptRecord } from './attempt.js'
import type { Content } from './content.js'
import type { OWN_FIELDS } from './fields.js'
import type { AttemptRow, AttemptStatus, AttemptStore } from './store.js'
import type { TargetList, TargetSource, Targets } from './targets.js'

export interface BaseAttemptOptions<Model extends string, T extends Targets> {
  /** The Prisma model of the table; its name in snake_case is the Graphile Worker task that performs it. */
  model: Model
  /** The table: what the model's `@@map` says. */
  table: string
  /**
   * What attempts of this class may call: a function that imports the module whose `targets` lists it, so that the modules
   * can be loaded in any order, or the list itself.
   */
  targets: TargetSource<T>
  /** Encrypts arguments, results and errors of attempts that do not ask for another. Default: none. */
  encryptor?: Encryptor
  /** More encryptors, that single attempts ask for or older rows name. */
  encryptors?: Encryptor[]
  /** The priorities of calls that are not given one: higher runs first. */
  priorities?: Priorities
}

export interface Priorities {
  /** Through `async` and `create`. Default: 10. */
  async?: number
  /** Through `schedule`. Default: 20. */
  schedule?: number
}

/** What every class of attempts is bound to. */
export interface AttemptBinding<Client extends PrismaClientLike, T extends Targets> {
  readonly db: BoundDatabase<Client>
  readonly model: string
  /** The list of what may be called. It is loaded when it is first needed. */
  readonly targets: () => Promise<TargetList<T>>
  readonly store: AttemptStore
  readonly content: Content
  readonly priorities: Priorities
}

/** What `BaseAttempt` returns, and what every class of attempts extends. */
// biome-ignore lint/suspicious/noExplicitAny: without arguments it stands for every class of attempts
export type AttemptClass<Client extends PrismaClientLike = any, T extends Targets = any, Data = any> = AttemptBinding<
  Client,
  T
> &
  Pick<typeof AttemptRecord, keyof typeof AttemptRecord> & {
    new (row: AttemptRow, duplicate?: boolean): AttemptRecord<Data>
  }

export type ClientOf<Class> = Class extends { db: BoundDatabase<infer Client> } ? Client : never
export type TargetsOf<Class> = Class extends { targets: () => Promise<TargetList<infer T>> } ? T : never
export type DataOf<Class> = Class extends abstract new (...args: never[]) => { data: infer Data } ? Data : never

/** The fields that you have added to a model of attempts. */
export type AddedFields<Client, Model extends string> = Omit<ScalarsOf<Client, Uncapitalize<Model>>, OwnField>

type ScalarsOf<Client, Delegate extends string> = Client extends {
  [D in Delegate]: { [K: symbol]: { types: { payload: { scalars: infer Scalars } } } }
}
  ? Scalars
  : unknown

type OwnField = (typeof OWN_FIELDS)[number]

/** Which attempts to look for; what is left out does not matter. */
export interface AttemptFilter<T extends Targets = Targets> {
  status?: AttemptStatus
  target?: T[keyof T]
  method?: string
  idempotenceToken?: string
  parent?: AttemptRecord
}

export interface PerformOptions {
  /** Aborts when the call has to stop; the call sees it as `Attempt.current().signal`. */
  signal?: AbortSignal
}
