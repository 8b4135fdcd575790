import type { Database } from './database.js'
import type { Query } from './statement.js'

/** A table whose rows the sweep keeps moving. */
export interface SweptTable {
  readonly kind: 'attempts' | 'toasts'
  /** The table's name. */
  readonly table: string
  /** The Graphile Worker tasks that work on its rows. */
  readonly tasks: Iterable<string>
  /** Takes rows back from workers that are dead. Returns how many there were. */
  rescue(query?: Query): Promise<number>
  /**
   * Gives a job to rows that are due and have none, those first that are due for longest. Returns how many there were.
   * @param pages how many thousands of rows that are due to look at, at most
   */
  enqueueDue(query?: Query, pages?: number): Promise<number>
}

const tables = new WeakMap<Database, Set<SweptTable>>()

/** The tables of a database that this process knows of. */
export function sweptTables(db: Database): Set<SweptTable> {
  let known = tables.get(db)
  if (!known) {
    known = new Set()
    tables.set(db, known)
  }
  return known
}
