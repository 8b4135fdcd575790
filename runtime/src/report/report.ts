import { digestOf } from '../core/canonical.js'
import type { Database } from '../core/database.js'
import type { Duration } from '../core/duration.js'
import { AsyncGenError } from '../core/errors.js'
import { snakeCase } from '../core/names.js'
import { deserialize, type Json, jsonOf, serialize } from '../core/serialize.js'
import type { Reading } from '../toast/reading.js'
import { type Computation, toastsOf } from '../toast/registry.js'
import type { ExpireIf } from '../toast/staleness.js'
import { defineToast, type ReadOptions, type Toast } from '../toast/toast.js'
import { type ReportRow, ReportStore } from './store.js'

export interface BaseReportOptions {
  /** The Prisma model of the table; `refresh_` and its name in snake_case is the Graphile Worker task that builds. */
  model: string
  /** The table: what the model's `@@map` says. */
  table: string
}

/** What `BaseReport` returns, and what every report class extends. */
export type ReportBase = typeof ReportRecord & ReportSettings

interface ReportSettings {
  readonly db: Database
  readonly store: ReportStore
  readonly task: string
}

/** A class of reports, with arguments of its own. */
export type ReportClass = ReportSettings & {
  // biome-ignore lint/suspicious/noExplicitAny: each class has arguments of its own
  new (row: ReportRow): ReportRecord<any>
  /** What its rows are called, in the column `type`. Fix it where a bundler renames classes: `static override type = '…'`. */
  readonly type: string
  /** Stale when older than this. */
  readonly expireIn?: Duration
  /** Stale when this says so, given the report as `toast.parent`; it may ask the database. */
  // biome-ignore lint/suspicious/noExplicitAny: each class has arguments of its own
  readonly expireIf?: ExpireIf<any>
  /** How old a stale value may be and still be served. */
  readonly maxStale?: Duration
  /** Change it when `build` changes so much that what it built before must not be served. */
  readonly version?: string | number
  /** How large what it builds may be, as JSON. Default: 8 MB. */
  readonly maxBytes?: number
}

/** A report whose `build` returns what is there at once, and has the worker build what is missing or stale. */
export type BackgroundReport<Report extends ReportRecord> = Omit<Report, 'build'> & {
  build(options?: ReadOptions): Promise<Reading<Awaited<ReturnType<Report['build']>>>>
  /** What is there, without asking for a build. */
  peek(): Promise<Reading<Awaited<ReturnType<Report['build']>>>>
  /** A value that is not stale, built now if it has to be. */
  fresh(): Promise<Reading<Awaited<ReturnType<Report['build']>>, never>>
  /** Builds it here and now, and stores nothing. */
  compute(): Promise<Awaited<ReturnType<Report['build']>>>
  /** Whether there is no value, or a stale one. */
  isStale(): Promise<boolean>
  /** Asks for a build, whatever the age of the value: with `tx`, only if that commits. */
  expire(options?: Pick<ReadOptions, 'tx'>): Promise<void>
}

/** A base class for the reports of one table. */
export function BaseReport(db: Database, options: BaseReportOptions): ReportBase {
  const store = new ReportStore(db, options.table)
  const task = `refresh_${snakeCase(options.model)}`
  toastsOf(db).store.tasks.add(task)
  return class<Args extends object> extends ReportRecord<Args> {
    static readonly db = db
    static readonly store = store
    static readonly task = task
  }
}

/** A report as JSON: the id is text, times are ISO 8601, and arguments are as SQL sees them. */
export interface ReportJson {
  id: string
  type: string
  args: Json
  createdAt: string
  updatedAt: string
}

/** A report: a class, and the arguments that it was asked for with. */
export class ReportRecord<Args extends object = object> {
  readonly id: bigint
  readonly args: Args
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly #json: Json

  static get type(): string {
    return this.name
  }

  // Compilers for targets before ES2022 make of `static override type = '…'` an assignment, which a getter alone refuses.
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

  /** What `console.log` shows. */
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
   * Builds the report. Each report class has its own; the worker calls it.
   *
   * @param _computation a signal that aborts when the worker has to stop, and where to tell how far it is
   */
  async build(_computation: Computation): Promise<unknown> {
    throw new AsyncGenError('NOT_IMPLEMENTED', `Not implemented: ${this.constructor.name} needs a method build().`)
  }
}

const toasts = new WeakMap<ReportClass, Toast<ReportRecord, unknown>>()

/**
 * The toast behind a report class's `build`, defined when it is first needed.
 *
 * @param place the file of the class, where it is known
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
    compute: (report: ReportRecord, computation: Computation) => Report.prototype.build.call(report, computation),
    living: (keys: string[]) => store.existing(keys),
    ...(expireIn !== undefined && { expireIn }),
    ...(expireIf && { expireIf }),
    ...(maxStale !== undefined && { maxStale }),
    ...(version !== undefined && { version }),
    ...(maxBytes !== undefined && { maxBytes }),
  }
  return defineToast<ReportRecord, unknown>(db, `${type}.build`, options, task, { place, code: String(Report) })
}
