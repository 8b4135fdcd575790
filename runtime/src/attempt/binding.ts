import type { BoundDatabase } from '../core/database.js'
import type { Duration } from '../core/duration.js'
import type { Encryptor } from '../core/encryptor.js'
import type { PrismaClientLike, RecordOf } from '../core/prisma/client.js'
import type { RowId } from '../core/row-id.js'
import type { BatchReference } from './calls.js'
import type { Content } from './content.js'
import type { AttemptFields } from './fields.js'
import type { AttemptStatus, OWN_FIELDS } from './row.js'
import type { ScheduleSource } from './schedules/define.js'
import type { AttemptStore } from './store.js'
import type { TargetSource } from './target-loader.js'
import type { Targets } from './target-types.js'
import type { TargetList } from './targets.js'

export interface BaseAttemptOptions<Model extends string, T extends Targets> {
  /** The Prisma model of the table. Its name in snake_case is the Graphile Worker task that performs its rows. */
  model: Model
  /** The table: the name in the model's `@@map`. */
  table: string
  /**
   * What attempts of this class may call: a function that imports the module whose `targets` lists it, so that the modules
   * can be loaded in any order, or the list itself.
   */
  targets: TargetSource<T>
  /** A function that imports the module whose `schedules` lists calls at certain times. */
  schedules?: ScheduleSource
  /** Encrypts arguments, results and errors of attempts that name no other encryptor. Default: none. */
  encryptor?: Encryptor
  /** Further encryptors, which single attempts or older rows name. */
  encryptors?: Encryptor[]
  /** The priorities of calls that name none. Higher runs first. */
  priorities?: AttemptPriorities
}

export interface AttemptPriorities {
  /** Through `async` and `create`. Default: 10. */
  async?: number
  /** Through `schedule`. Default: 20. */
  schedule?: number
}

/** What every class of attempts is bound to. */
export interface AttemptBinding<Client extends PrismaClientLike, T extends Targets> {
  readonly db: BoundDatabase<Client>
  readonly model: string
  /** Loads the list of targets when it is first needed. */
  readonly targets: () => Promise<TargetList<T>>
  readonly store: AttemptStore
  readonly content: Content
  readonly priorities: AttemptPriorities
}

/** A class of attempts, as the code sees it that records and runs calls. */
// biome-ignore lint/suspicious/noExplicitAny: this code depends neither on the models of a client nor on the targets
export interface BoundClass extends AttemptBinding<any, any> {
  readonly name: string
}

export type ClientOf<Class> = Class extends { db: BoundDatabase<infer Client> } ? Client : never
export type TargetsOf<Class> = Class extends { targets: () => Promise<TargetList<infer T>> } ? T : never
export type DataOf<Class> = Class extends abstract new (...args: never[]) => { data: infer Data } ? Data : never

/** The fields that you have added to a model of attempts. */
export type AddedFields<Client, Model extends string> = Omit<ScalarsOf<Client, Model>, OwnField>

type ScalarsOf<Client, Model extends string> = [RecordOf<Client, Uncapitalize<Model>>] extends [never]
  ? [RecordOf<Client, Model>] extends [never]
    ? unknown
    : RecordOf<Client, Model>
  : RecordOf<Client, Uncapitalize<Model>>

type OwnField = (typeof OWN_FIELDS)[number]

/** Which attempts to find or to change. A property that is left out does not filter. */
export interface AttemptFilter<T extends Targets = Targets, Data = Record<string, unknown>> {
  /** One status, or several. */
  status?: AttemptStatus | readonly AttemptStatus[]
  /** A target that `targets.ts` lists, or its name in the rows, also if it is not listed any more. */
  target?: T[keyof T] | string
  method?: string
  idempotenceToken?: string
  /** The attempt whose call recorded them. */
  parent?: AttemptFields
  /** The batch that they belong to, or its id. */
  batch?: BatchReference | RowId
  /** The name of the schedule that recorded them, also if it was removed. */
  schedule?: string
  /** Text in the name, code or message of the latest error, upper and lower case alike. Encrypted errors never match. */
  error?: string
  /** Text in the arguments, as JSON, upper and lower case alike. Encrypted arguments never match. */
  argument?: string
  /** Recorded at that time or later. A duration counts back from now: `'1 day'`. */
  createdAfter?: Date | Duration
  /** Recorded before that time. */
  createdBefore?: Date | Duration
  /** Ended (`completedAt`) at that time or later. Attempts that have not ended do not match. */
  endedAfter?: Date | Duration
  /** Ended before that time. */
  endedBefore?: Date | Duration
  /** Fields that you have added to the model, each with the value that it must equal. */
  data?: Partial<Data>
}

/** Options of `retryAll`, `cancelAll`, `expireAll` and `failAll`. */
export interface BulkOptions {
  /** Only counts what would be changed. */
  dryRun?: boolean
}

/** Options of `rescheduleAll`. */
export interface RescheduleOptions extends BulkOptions {
  /** The new time. A duration counts from now: `'5 minutes'`. */
  to: Date | Duration
}

export interface PerformOptions {
  /** Aborts when the call has to stop. The call sees it as `Attempt.current().signal`. */
  signal?: AbortSignal
}
