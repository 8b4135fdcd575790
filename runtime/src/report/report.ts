import { digestOf } from '../canonical.js'
import type { Database } from '../database.js'
import type { Duration } from '../duration.js'
import { AsyncGenError } from '../errors.js'
import { snakeCase } from '../names.js'
import { deserialize, serialize } from '../serialize.js'
import type { CachedToast } from '../toast/staleness.js'
import { defineToast, type Reading, type ReadOptions, type Toast } from '../toast/toast.js'
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
  readonly name: string
  readonly expireIn?: Duration
  readonly expireIf?: (toast: CachedToast) => boolean
}

/** A report whose `build` returns what is there at once, and has the worker build what is missing or stale. */
export type BackgroundReport<Report extends ReportRecord> = Omit<Report, 'build'> & {
  build(options?: ReadOptions): Promise<Reading<Awaited<ReturnType<Report['build']>>>>
  /** Builds it here and now, and stores nothing. */
  compute(): ReturnType<Report['build']>
  /** Whether there is no value, or a stale one. */
  isStale(): Promise<boolean>
  /** Asks for a build, whatever the age of the value. */
  expire(): Promise<void>
}

/** A base class for the reports of one table. */
export function BaseReport(db: Database, options: BaseReportOptions): ReportBase {
  const store = new ReportStore(db, options.table)
  return class<Args extends object> extends ReportRecord<Args> {
    static readonly db = db
    static readonly store = store
    static readonly task = `refresh_${snakeCase(options.model)}`
  }
}

/** A report: a class, and the arguments that it was asked for with. */
export class ReportRecord<Args extends object = object> {
  readonly id: bigint
  readonly args: Args
  readonly createdAt: Date
  readonly updatedAt: Date

  constructor(row: ReportRow) {
    this.id = BigInt(row.id)
    this.args = deserialize(row.args) as Args
    this.createdAt = row.created_at
    this.updatedAt = row.updated_at
  }

  /** The report with these arguments, found or created. The order of their keys does not matter. */
  static async create<Class extends ReportClass>(
    this: Class,
    args: InstanceType<Class>['args'],
  ): Promise<BackgroundReport<InstanceType<Class>>> {
    const row = await this.store.findOrCreate(this.name, digestOf(args), serialize(args, 'args'))
    const report = new this(row)
    const toast = toastOf(this)
    return Object.assign(report, {
      build: (options?: ReadOptions) => toast(report, options),
      compute: () => toast.compute(report),
      isStale: () => toast.isStale(report),
      expire: () => toast.expire(report),
    }) as never
  }

  /** Builds the report. Each report class has its own; the worker calls it. */
  async build(): Promise<unknown> {
    throw new AsyncGenError('NOT_IMPLEMENTED', `Not implemented: ${this.constructor.name} needs a method build().`)
  }
}

const toasts = new WeakMap<ReportClass, Toast<ReportRecord, unknown>>()

/** The toast behind a report class's `build`, defined when it is first needed. */
export function toastOf(Report: ReportClass): Toast<ReportRecord, unknown> {
  let toast = toasts.get(Report)
  if (!toast) {
    toast = defineReportToast(Report)
    toasts.set(Report, toast)
  }
  return toast
}

function defineReportToast(Report: ReportClass): Toast<ReportRecord, unknown> {
  const { db, store, task, expireIn, expireIf } = Report
  const load = async (id: number | bigint) => {
    const row = await store.find(id)
    return row ? new Report(row) : null
  }
  const options = {
    load,
    compute: (report: ReportRecord) => Report.prototype.build.call(report),
    ...(expireIn !== undefined && { expireIn }),
    ...(expireIf && { expireIf }),
  }
  return defineToast<ReportRecord, unknown>(db, `${Report.name}.build`, options, task)
}
