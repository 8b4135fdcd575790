import type { Database } from '../../core/database.js'
import { SMALLEST_ID } from '../../core/row-id.js'
import type { Query, Statement } from '../../core/statement.js'
import type { AttemptStatus } from '../row.js'
import { batchStatements } from '../sql/batches.js'

/** How many batches that have not finished one sweep looks at. */
const PAGE = 200

/** A row of async_batches. Times are ISO 8601 text, with an offset. */
export interface BatchRow {
  id: string
  model: string
  thenId: string | null
  createdAt: string
  cancelledAt: string | null
  finishedAt: string | null
}

/** The ids of a batch that is recorded, and of the call that follows it. */
export interface BatchIds {
  batch: string
  following: string
}

/** The batches of one model. */
export class BatchStore {
  readonly #db: Database
  readonly #model: string
  readonly #table: string
  readonly #sql: ReturnType<typeof batchStatements>
  /** Where the next sweep continues. */
  #last = String(SMALLEST_ID)

  constructor(db: Database, model: string, table: string) {
    this.#db = db
    this.#model = model
    this.#table = table
    this.#sql = batchStatements(table)
  }

  async reserveIds(query: Query = this.#db.query): Promise<BatchIds> {
    const [ids] = await query<BatchIds>(this.#sql.reserveIds, [this.#table])
    return ids!
  }

  async find(id: bigint, query: Query = this.#db.query): Promise<BatchRow | undefined> {
    const [row] = await query<BatchRow>(this.#sql.find, [id.toString(), this.#model])
    return row
  }

  /** How many calls of a batch have which status. */
  async counts(id: bigint): Promise<Partial<Record<AttemptStatus, number>>> {
    const rows = await this.#db.query<{ status: AttemptStatus; count: number }>(this.#sql.counts, [id.toString()])
    return Object.fromEntries(rows.map(({ status, count }) => [status, count]))
  }

  /** Marks a batch as cancelled, and cancels the call that follows it. */
  async cancel(id: bigint): Promise<void> {
    await this.#db.query(this.#sql.cancel, [id.toString(), this.#model])
  }

  /** Finishes a batch if all of its calls have ended. */
  async finish(id: string, query: Query = this.#db.query): Promise<void> {
    await query(this.#sql.finish, [id])
  }

  /** Looks at a page of the batches that have not finished, and finishes those that the triggers have missed. Returns how many. */
  async repair(query: Query): Promise<number> {
    const [page] = await query<{ finished: number; last: string | null; seen: number }>(this.#sql.finishLost, [
      this.#model,
      this.#last,
      PAGE,
    ])
    const { finished, last, seen } = page!
    this.#last = seen === PAGE && last !== null ? last : String(SMALLEST_ID)
    return finished
  }

  /** The statement that deletes batches without calls, and its values. */
  pruning(period: number): [statement: Statement, values: unknown[]] {
    return [this.#sql.prune, [this.#model, period]]
  }
}
