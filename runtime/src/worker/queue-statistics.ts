import { limitName } from '../attempt/limits/describe.js'
import { listLimits } from '../attempt/limits/limits.js'
import { targetLoaders } from '../attempt/pause-match.js'
import { type PauseRow, pausesInForce } from '../attempt/pause-store.js'
import { AttemptStore } from '../attempt/store.js'
import type { Database } from '../core/database.js'
import { type RowStatistics, sweptTables } from '../core/swept-table.js'

/** The state of the queue, read from the database: every process gets the same. */
export interface QueueStatistics {
  /** How many workers are alive. */
  workers: number
  tables: TableStatistics[]
  /** The pauses in force. */
  pauses: PauseRow[]
  limits: LimitStatistics[]
}

/** What runs and waits of a limit. */
export interface LimitStatistics {
  model: string
  /** The target, or the target and the method. */
  limit: string
  running: number
  waiting: number
  /** How many of the keys with the most waiting calls have no room. */
  fullKeys: number
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
  return { workers: workers.length, tables, pauses, limits: await limitStatistics(db) }
}

/** None for a model without limits, and for one whose targets do not load. */
async function limitStatistics(db: Database): Promise<LimitStatistics[]> {
  const stores = [...sweptTables(db)].filter((table) => table instanceof AttemptStore)
  const limits = await Promise.all(
    stores.map(async (store) => {
      const targets = targetLoaders(db).get(store.model)
      const statuses = targets ? await listLimits({ store, targets }) : []
      return statuses.map(({ running, waiting, keys, ...name }) => {
        const fullKeys = keys.filter(({ isFull }) => isFull).length
        return { model: store.model, limit: limitName(name), running, waiting, fullKeys }
      })
    }),
  )
  return limits.flat()
}
