import type { Database } from '../core/database.js'
import { SMALLEST_ID } from '../core/row-id.js'
import type { RegisteredToast } from './registered-toast.js'
import { maintenanceStatements, PRUNING_BATCH } from './sql/maintenance.js'
import type { ToastId } from './store.js'

/** How many statements one call of `prune` runs of each kind. A larger backlog takes several calls. */
const MAX_BATCHES = 20

/** Values of older versions of the code are kept for a day, because that code may still run somewhere. Milliseconds. */
const SUPERSEDED_AFTER = 86_400_000

/** Where a round through the table begins. */
const FIRST_ID = String(SMALLEST_ID)

/** How many queries for existing parents one page may take when some of them fail. */
const MAX_QUERIES = 100

/** The columns that decide whether a row is still needed. */
interface PrunableRow extends ToastId {
  id: string
  updated_at: Date
}

/** Deletes the rows of `toasts` that are no longer needed. It remembers how far it has looked. */
export class ToastPruner {
  readonly #db: Database
  readonly #definitions: ReadonlyMap<string, RegisteredToast>
  #lastId = FIRST_ID

  constructor(db: Database, definitions: ReadonlyMap<string, RegisteredToast>) {
    this.#db = db
    this.#definitions = definitions
  }

  async prune(): Promise<number> {
    let deleted = 0
    for (let i = 0; i < MAX_BATCHES; i++) {
      const expired = (await this.#db.query(maintenanceStatements.pruneExpired, [])).length
      deleted += expired
      if (expired < PRUNING_BATCH) break
    }
    for (let i = 0; i < MAX_BATCHES; i++) {
      const unneeded = await this.#pruneNextPage()
      deleted += unneeded
      if (unneeded === 0) break
    }
    return deleted
  }

  async #pruneNextPage(): Promise<number> {
    const page = await this.#db.query<PrunableRow>(maintenanceStatements.listAfter, [this.#lastId])
    this.#lastId = page.length < PRUNING_BATCH ? FIRST_ID : page.at(-1)!.id
    const unneeded = page.filter((row) => this.#isSuperseded(row))
    const errors: unknown[] = []
    for (const definition of this.#definitions.values()) {
      unneeded.push(...(await orphansIn(page, definition, errors)))
    }
    const deleted = await this.#delete(unneeded)
    if (errors.length > 0) throw errors[0]
    return deleted
  }

  async #delete(rows: PrunableRow[]): Promise<number> {
    if (rows.length === 0) return 0
    return (await this.#db.query(maintenanceStatements.deleteByIds, [rows.map(({ id }) => id)])).length
  }

  #isSuperseded({ name, updated_at }: PrunableRow): boolean {
    if (this.#definitions.has(name) || this.#db.now() - updated_at.getTime() < SUPERSEDED_AFTER) return false
    return [...this.#definitions.values()].some(({ baseName }) => name === baseName || name.startsWith(`${baseName}@`))
  }
}

/** The rows of one toast without a parent. A key that was written by hand can fail the query, so a failed half is split again. */
async function orphansIn(
  page: PrunableRow[],
  { name, existingKeys }: RegisteredToast,
  errors: unknown[],
): Promise<PrunableRow[]> {
  const parts = [page.filter((row) => row.name === name)]
  const orphans: PrunableRow[] = []
  for (let queries = 0; existingKeys && queries < MAX_QUERIES; queries++) {
    const part = parts.pop()
    if (!part) break
    if (part.length === 0) continue
    try {
      const existing = await existingKeys(part.map(({ key }) => key))
      orphans.push(...part.filter(({ key }) => !existing.has(key)))
    } catch (error) {
      errors.push(error)
      const half = part.length >> 1
      if (half > 0) parts.push(part.slice(half), part.slice(0, half))
    }
  }
  return orphans
}
