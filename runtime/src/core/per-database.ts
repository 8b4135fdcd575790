import type { Database } from './database.js'

/** A function that returns one set for each database: what this process keeps of it. */
export function setPerDatabase<Item>(): (db: Database) => Set<Item> {
  const sets = new WeakMap<Database, Set<Item>>()
  return (db) => {
    let set = sets.get(db)
    if (!set) {
      set = new Set()
      sets.set(db, set)
    }
    return set
  }
}
