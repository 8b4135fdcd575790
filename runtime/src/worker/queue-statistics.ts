import { type PauseRow, pausesInForce } from '../attempt/pause-store.js'
import type { Database } from '../core/database.js'
import { type RowStatistics, sweptTables } from '../core/swept-table.js'

/** The state of the queue, read from the database: every process gets the same. */
export interface QueueStatistics {
  /** How many workers are alive. */
  workers: number
  tables: TableStatistics[]
  /** The pauses in force. */
  pauses: PauseRow[]
}

export interface TableStatistics extends RowStatistics {
  table: string
}

export async function queueStatistics(db: Database): Promise<QueueStatistics> {
  const [workers, pauses] = await Promise.all([db.workers(), pausesInForce(db)])
  const pausedModels = new Set(pauses.map(({ model }) => model))
  const tables = await Promise.all(
    [...sweptTables(db)].map(async (table) => ({ table: table.table, ...(await table.statistics(pausedModels)) })),
  )
  return { workers: workers.length, tables, pauses }
}
