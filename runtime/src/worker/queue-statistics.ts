import type { Database } from '../core/database.js'
import { type RowStatistics, sweptTables } from '../core/swept-table.js'

/** The state of the queue, read from the database: every process gets the same. */
export interface QueueStatistics {
  /** How many workers are alive. */
  workers: number
  tables: TableStatistics[]
}

export interface TableStatistics extends RowStatistics {
  table: string
}

export async function queueStatistics(db: Database): Promise<QueueStatistics> {
  const [workers, tables] = await Promise.all([
    db.workers(),
    Promise.all([...sweptTables(db)].map(async (table) => ({ table: table.table, ...(await table.statistics()) }))),
  ])
  return { workers: workers.length, tables }
}
