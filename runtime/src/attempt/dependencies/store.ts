import type { Database } from '../../core/database.js'
import { SMALLEST_ID } from '../../core/row-id.js'
import type { Query } from '../../core/statement.js'
import type { AttemptRow } from '../row.js'
import { dependencyStatements } from '../sql/dependencies.js'

/** How many blocked rows one sweep looks at. Each may wait for a thousand others. */
const PAGE = 200

/** An attempt that another one still waits for. */
export interface AwaitedAttempt {
  id: string
  target: string
  method: string
  status: string
}

interface LostRows {
  /** Ids of rows that wait for nothing any more, as an array literal: `{7,12}`. */
  free: string
  /** Ids of rows that did not succeed, and that rows wait for which are to be cancelled then. */
  failed: string
  last: string | null
  seen: number
}

/** The attempts of one table that wait for others. */
export class DependencyStore {
  readonly #db: Database
  readonly #sql: ReturnType<typeof dependencyStatements>
  /** Where the next sweep continues. */
  #last = String(SMALLEST_ID)

  constructor(db: Database, table: string) {
    this.#db = db
    this.#sql = dependencyStatements(table)
  }

  /** Those of some ids that no row has. */
  async missing(ids: readonly string[], query: Query = this.#db.query): Promise<string[]> {
    const rows = await query<{ id: string | bigint }>(this.#sql.existing, [ids])
    const existing = new Set(rows.map(({ id }) => String(id)))
    return ids.filter((id) => !existing.has(id))
  }

  /** The rows with these ids, in the order given; undefined for those that were deleted. */
  async find(ids: readonly bigint[]): Promise<(AttemptRow | undefined)[]> {
    const rows = await this.#db.query<AttemptRow>(this.#sql.byIds, [ids])
    const byId = new Map(rows.map((row) => [BigInt(row.id), row]))
    return ids.map((id) => byId.get(id))
  }

  /** The first attempts that a blocked one still waits for. */
  async waitsFor(id: bigint): Promise<AwaitedAttempt[]> {
    return await this.#db.query<AwaitedAttempt>(this.#sql.waitsFor, [id])
  }

  /** The attempts that wait, or have waited, for one. */
  async dependents(id: bigint, limit: number): Promise<AttemptRow[]> {
    return await this.#db.query<AttemptRow>(this.#sql.dependents, [id, limit])
  }

  /** Looks at a page of the blocked rows, and unblocks or cancels those that the triggers have missed. Returns how many it has unblocked. */
  async repair(query: Query): Promise<number> {
    const [page] = await query<LostRows>(this.#sql.lost, [this.#last, PAGE])
    const { free, failed, last, seen } = page!
    this.#last = seen === PAGE && last !== null ? last : String(SMALLEST_ID)
    if (failed !== '{}') await query(this.#sql.cancelDependents, [failed])
    if (free !== '{}') await query(this.#sql.unblock, [free])
    return free === '{}' ? 0 : free.split(',').length
  }
}
