import type { Database, Query } from './database.js'

/** A table whose rows the sweep keeps moving. */
export interface KeptTable {
  readonly kind: 'attempts' | 'toasts'
  /** The table's name. */
  readonly table: string
  /** Takes rows back from workers that are dead. Returns how many there were. */
  rescue(query?: Query): Promise<number>
  /** Gives a job to rows that are due and have none. Returns how many there were. */
  enqueueDue(query?: Query): Promise<number>
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
