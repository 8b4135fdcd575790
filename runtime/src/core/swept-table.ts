import { setPerDatabase } from './per-database.js'
import type { Query } from './statement.js'

/** How many rows of a table are due, running and failed: attempts, or toasts by the state of their refresh. */
export interface RowStatistics {
  due: number
  running: number
  failed: number
  /** Due attempts that wait for the end of a pause. They do not count as due. Toasts cannot be paused. */
  paused?: number
  /** Due attempts that have a limit: they wait for it, or are about to begin. They do not count as due. */
  limited?: number
  /** Attempts that wait for others, or for the end of a batch. */
  blocked?: number
  /** How long the oldest due row has been due, in seconds; 0 where none is due. */
  oldestDue: number
}

/** How long finished attempts are kept, in milliseconds; `false` keeps them for ever. */
export interface RetentionPeriods {
  succeeded: number | false
  /** Failed, expired and cancelled attempts. */
  ended: number | false
}

/** A table whose rows are jobs. Each worker sweeps, prunes and counts the tables that its process uses. */
export interface SweptTable {
  readonly table: string
  /** The column that says when work on a row last succeeded or ended. */
  readonly finishedColumn: 'completed_at' | 'cached_at'
  /** The Graphile Worker tasks that process its rows. */
  readonly tasks: Iterable<string>
  /** SQL: whether a sweep of the table may have something to do. It reads an index for each kind of row, and no more. */
  readonly mayNeedSweep: string
  /** Releases the rows that dead workers have claimed. Returns how many were released. */
  rescue(query?: Query): Promise<number>
  /**
   * Adds a job for rows that are due and have none, starting with those that are due for longest. Returns how many jobs were added.
   * @param pages how many thousands of due rows to look at, at most
   */
  enqueueDue(query?: Query, pages?: number): Promise<number>
  /** Adds jobs for rows whose pause has ended. Returns how many. */
  enqueueResumed?(): Promise<number>
  /** Unblocks rows that wait for nothing any more. Triggers do it unless they were disabled. Returns how many. */
  repair?(query?: Query): Promise<number>
  /** Ends rows whose time has passed before a run began. Returns how many. */
  expire?(query?: Query): Promise<number>
  /** @param pausedModels the models with a pause in force. Default: none */
  statistics(pausedModels?: ReadonlySet<string>): Promise<RowStatistics>
  /**
   * Deletes rows that are no longer needed. Workers that do it at the same time share the work.
   *
   * @param retention false: finished attempts are kept for ever
   * @param stop ends it early
   * @returns how many rows were deleted
   */
  prune(retention: RetentionPeriods | false, stop?: AbortSignal): Promise<number>
}

/** The tables of a database that this process uses. */
export const sweptTables = setPerDatabase<SweptTable>()
