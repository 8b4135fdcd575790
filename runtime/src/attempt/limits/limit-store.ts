import type { Database } from '../../core/database.js'
import type { Query } from '../../core/statement.js'
import { limitStatements } from './sql.js'

/** How many keys one statement looks at. */
const PAGE = 1000

/** The limits of one model in the database. */
export class LimitStore {
  readonly #db: Database
  readonly #model: string
  readonly #task: string
  readonly #sql: ReturnType<typeof limitStatements>
  /** Where the next repair goes on: with more keys than a page, each sweep looks at another page. */
  #repairFrom = ''

  constructor(db: Database, { model, table, task }: { model: string; table: string; task: string }) {
    this.#db = db
    this.#model = model
    this.#task = task
    this.#sql = limitStatements(table)
  }

  /** Adds a job for keys that have due calls, no run and no job. Returns how many. */
  async repair(query: Query): Promise<number> {
    const values = [this.#task, this.#repairFrom, this.#model, PAGE]
    const [row] = await query<{ enqueued: number; last: string | null }>(this.#sql.repair, values)
    this.#repairFrom = row?.last ?? ''
    return row?.enqueued ?? 0
  }

  /** Deletes what rates do not need any more. */
  async prune(): Promise<void> {
    while ((await this.#db.query(this.#sql.prune, [this.#model, PAGE])).length === PAGE);
  }
}
