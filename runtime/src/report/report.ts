import { digestOf } from '../core/canonical.js'
import type { Database } from '../core/database.js'
import type { Duration } from '../core/duration.js'
import { AsyncGenError } from '../core/errors.js'
import { snakeCase } from '../core/names.js'
import { deserialize, type Json, jsonOf, serialize } from '../core/serialize.js'
import type { ToastComputation } from '../toast/registered-toast.js'
import { toastsOf } from '../toast/registry.js'
import type { ToastResult } from '../toast/result.js'
import type { ExpireIf } from '../toast/staleness.js'
import { defineToast } from '../toast/toast.js'
import type { ReadOptions, Toast } from '../toast/types.js'
import { type ReportRow, ReportStore } from './store.js'

export interface BaseReportOptions {
  /** The Prisma model of the table. The Graphile Worker task that builds its reports is `refresh_` and the model in snake_case. */
  model: string
  /** The table: the value of the model's `@@map`. */
  table: string
}

/** The base class of all report classes of one table. */
export type ReportBase = typeof ReportRecord & ReportSettings

interface ReportSettings {
  readonly db: Database
  readonly store: ReportStore
  readonly task: string
}

/** A class of reports. Each class has its own arguments. */
export type ReportClass = ReportSettings & {
  // biome-ignore lint/suspicious/noExplicitAny: each class has arguments of its own
  new (row: ReportRow): ReportRecord<any>
  /** The value of the column `type`. Default: the class name. If a bundler renames classes, set it: `static override type = '…'`. */
  readonly type: string
  /** A report older than this is stale. */
  readonly expireIn?: Duration
  /** A report is stale if this returns true, or resolves with it. It receives the report as `toast.parent`. */
  // biome-ignore lint/suspicious/noExplicitAny: each class has arguments of its own
  readonly expireIf?: ExpireIf<any>
  /** How old a stale value may be and still be served. */
  readonly maxStale?: Duration
  /** The version of the code: change it when the old values of `build` must not be served any more. */
  readonly version?: string | number
  /** The maximum size of a value, in bytes of JSON. Default: 8 MB. */
  readonly maxBytes?: number
}

/** A report whose `build` returns the cached value at once. The worker builds what is missing or stale. */
export type BackgroundReport<Report extends ReportRecord> = Omit<Report, 'build'> & {
  build(options?: ReadOptions): Promise<ToastResult<Awaited<ReturnType<Report['build']>>>>
  /** Returns the cached value, without requesting a build. */
  peek(): Promise<ToastResult<Awaited<ReturnType<Report['build']>>>>
  /** Returns a value that is not stale, and builds it now if necessary. */
  fresh(): Promise<ToastResult<Awaited<ReturnType<Report['build']>>, never>>
  /** Builds the value here. Nothing is read or stored. */
  compute(): Promise<Awaited<ReturnType<Report['build']>>>
  /** Whether there is no value, or a stale one. */
  isStale(): Promise<boolean>
  /** Makes the value stale and requests a build: with `tx`, only if that transaction commits. */
  expire(options?: Pick<ReadOptions, 'tx'>): Promise<void>
}

/** A base class for the reports of one table. */
export function BaseReport(db: Database, options: BaseReportOptions): ReportBase {
  const store = new ReportStore(db, options.table)
  const task = `refresh_${snakeCase(options.model)}`
  toastsOf(db).table.addReportTask(task)
  return class<Args extends object> extends ReportRecord<Args> {
    static readonly db = db
    static readonly store = store
    static readonly task = task
  }
}

/** A report as JSON: the id is text, times are ISO 8601, and arguments are as the column stores them. */
export interface ReportJson {
  id: string
  type: string
  args: Json
  createdAt: string
  updatedAt: string
}

/** A report: its class says how it is built, its arguments say from what. */
export class ReportRecord<Args extends object = object> {
  readonly id: bigint
  readonly args: Args
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly #json: Json

  static get type(): string {
    return this.name
  }

  // For targets before ES2022, compilers turn `static override type = '…'` into an assignment, which throws if there is only a getter.
  static set type(type: string) {
    Object.defineProperty(this, 'type', { value: type, writable: true })
  }

  constructor(row: ReportRow) {
    this.id = BigInt(row.id)
    this.args = deserialize(row.args) as Args
    this.createdAt = row.created_at
    this.updatedAt = row.updated_at
    this.#json = jsonOf(row.args)
  }

  /** Plain data for `JSON.stringify`, a response or a log. */
  toJSON(): ReportJson {
    return {
      id: this.id.toString(),
      type: (this.constructor as typeof ReportRecord).type,
      args: this.#json,
      createdAt: this.createdAt.toJSON(),
      updatedAt: this.updatedAt.toJSON(),
    }
  }

  /** The text that `console.log` prints. */
  [Symbol.for('nodejs.util.inspect.custom')](
    _depth: number,
    options: object,
    inspect: (value: unknown, options: object) => string,
  ): string {
    return `${this.constructor.name} ${inspect(this.toJSON(), options)}`
  }

  /** The report with these arguments, found or created. The order of their keys does not matter. */
  static async create<Class extends ReportClass>(
    this: Class,
    args: InstanceType<Class>['args'],
  ): Promise<BackgroundReport<InstanceType<Class>>> {
    const stored = serialize(args, 'args')
    const row = await this.store.findOrCreate(this.type, digestOf(args), stored)
    const report = new this(row)
    const toast = toastOf(this)
    return Object.assign(report, {
      build: (options?: ReadOptions) => toast(report, options),
      peek: () => toast.peek(report),
      fresh: () => toast.fresh(report),
      compute: () => toast.compute(report),
      isStale: () => toast.isStale(report),
      expire: (options?: Pick<ReadOptions, 'tx'>) => toast.expire(report, options),
    }) as never
  }

  /**
   * Builds the report. Each report class overrides it; the worker calls it.
   *
   * @param _computation the signal that aborts when the worker stops, and a function that reports progress
   * @throws AsyncGenError NOT_IMPLEMENTED
   */
  async build(_computation: ToastComputation): Promise<unknown> {
    throw new AsyncGenError('NOT_IMPLEMENTED', `Not implemented: ${this.constructor.name} needs a method build().`)
  }
}

const toasts = new WeakMap<ReportClass, Toast<ReportRecord, unknown>>()

/**
 * The toast of a report class, defined at its first use.
 *
 * @param place the file of the class, if it is known
 */
export function toastOf(Report: ReportClass, place?: string): Toast<ReportRecord, unknown> {
  let toast = toasts.get(Report)
  if (!toast) {
    toast = defineReportToast(Report, place ?? `the class ${Report.name} of ${Report.task}`)
    toasts.set(Report, toast)
  }
  return toast
}

function defineReportToast(Report: ReportClass, place: string): Toast<ReportRecord, unknown> {
  const { db, store, task, type, expireIn, expireIf, maxStale, version, maxBytes } = Report
  const options = {
    load: async (id: number | bigint) => {
      const row = await store.find(id)
      return row ? new Report(row) : null
    },
    compute: (report: ReportRecord, computation: ToastComputation) => Report.prototype.build.call(report, computation),
    existingKeys: (keys: string[]) => store.existing(keys),
    ...(expireIn !== undefined && { expireIn }),
    ...(expireIf && { expireIf }),
    ...(maxStale !== undefined && { maxStale }),
    ...(version !== undefined && { version }),
    ...(maxBytes !== undefined && { maxBytes }),
  }
  return defineToast<ReportRecord, unknown>(db, `${type}.build`, options, task, { place, code: String(Report) })
}
