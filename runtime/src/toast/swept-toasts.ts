import { backoffs } from '../core/backoff.js'
import type { Database } from '../core/database.js'
import type { Query } from '../core/statement.js'
import type { RowStatistics, SweptTable } from '../core/swept-table.js'
import { presenceOf } from '../presence/presence.js'
import { ToastPruner } from './prune.js'
import type { RegisteredToast } from './registered-toast.js'
import { maintenanceStatements, mayNeedSweep } from './sql/maintenance.js'
import type { ToastStore } from './store.js'

/** How many rows are enqueued by one sweep. */
const BATCH = 1000

/** The table `toasts` as the sweep sees it. Reports are toasts too. */
export class SweptToasts implements SweptTable {
  readonly table = 'toasts'
  readonly finishedColumn = 'cached_at'
  readonly mayNeedSweep = mayNeedSweep
  readonly #db: Database
  readonly #store: ToastStore
  readonly #pruner: ToastPruner
  readonly #reportTasks = new Set<string>()

  constructor(db: Database, store: ToastStore, definitions: ReadonlyMap<string, RegisteredToast>) {
    this.#db = db
    this.#store = store
    this.#pruner = new ToastPruner(db, definitions)
  }

  get tasks(): string[] {
    return ['refresh_toast', ...this.#reportTasks]
  }

  /** Adds the Graphile Worker task that builds the reports of one model. */
  addReportTask(task: string): void {
    this.#reportTasks.add(task)
  }

  isReportTask(task: string): boolean {
    return this.#reportTasks.has(task)
  }

  async rescue(query: Query = this.#db.query): Promise<number> {
    const { id: worker } = await presenceOf(this.#db)
    const running = [...this.#store.running]
    const values = [worker, running.map(({ id }) => id), running.map(({ run }) => run), backoffs()]
    return (await query(maintenanceStatements.rescue, values)).length
  }

  async enqueueDue(query: Query = this.#db.query): Promise<number> {
    return (await query(maintenanceStatements.enqueueDue, [BATCH])).length
  }

  async statistics(): Promise<RowStatistics> {
    const [statistics] = await this.#db.query<RowStatistics>(maintenanceStatements.statistics, [])
    return statistics!
  }

  /** See `pruneToasts`. Retention does not apply: a toast is kept for as long as it has a parent. */
  async prune(): Promise<number> {
    return await this.#pruner.prune()
  }
}
