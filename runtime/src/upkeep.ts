import type { Database, Query } from './database.js'

/** A table whose rows the sweep keeps moving. */
export interface KeptTable {
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

const tables = new WeakMap<Database, Set<KeptTable>>()

/** The tables of a database that this process knows of. */
export function keptTables(db: Database): Set<KeptTable> {
  let known = tables.get(db)
  if (!known) {
    known = new Set()
    tables.set(db, known)
  }
  return known
}
