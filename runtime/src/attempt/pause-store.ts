import type { Database } from '../core/database.js'
import { printable } from '../core/printable.js'
import { SMALLEST_ID } from '../core/row-id.js'
import type { Query, Statement } from '../core/statement.js'
import type { RowStatistics } from '../core/swept-table.js'
import { timeText } from '../core/time-text.js'
import { canAddJobs } from './sql/bulk.js'
import { enqueueResumedStatement, resumedStatement } from './sql/enqueue-due.js'
import { duePausedStatement, pauseStatements as sql } from './sql/pauses.js'

/** Stands for all targets, or all methods, in a row of async_pauses. */
export const ALL = '*'

/** The target and the method of a row of async_pauses. */
export interface PausePath {
  target: string
  method: string
}

/** A row of async_pauses. */
export interface PauseRow extends PausePath {
  model: string
  reason: string | null
  until: Date | null
  since: Date
}

/** What is paused, as an operator names it: `OrderClient (Attempt)`, `OrderClient.fulfill (Attempt)` or `all of Attempt`. */
export function pausedName({ model, target, method }: Pick<PauseRow, 'model' | 'target' | 'method'>): string {
  const of = printable(model, 100)
  if (target === ALL && method === ALL) return `all of ${of}`
  return `${printable(method === ALL ? target : `${target}.${method}`, 200)} (${of})`
}

/** `OrderClient.fulfill (Attempt) has been paused since 2026-11-26T08:00:00Z, until it is resumed: the warehouse is moving`. */
export function describePause(pause: PauseRow): string {
  const { since, until, reason } = pause
  const end = until === null ? 'until it is resumed' : `until ${timeText(until)}`
  const why = reason === null ? '' : `: ${printable(reason, 1000)}`
  return `${pausedName(pause)} has been paused since ${timeText(since)}, ${end}${why}`
}

/** When a pause ends: at a time, after a number of milliseconds, or, without either, by `resume`. */
export interface PauseEnd {
  at?: Date | undefined
  after?: number | undefined
}

type DueStatistics = Pick<RowStatistics, 'due' | 'oldestDue' | 'limited' | 'paused'>

/** How many rows one statement enqueues. */
const PAGE = 1000

/** How many ids are read at once. To sort the rows, PostgreSQL reads all of them each time. */
const CHUNK = 500_000

/** The pauses in force, of all models. */
export async function pausesInForce(db: Database): Promise<PauseRow[]> {
  return await db.query<PauseRow>(sql.inForce, [])
}

/** The pauses of one model. */
export class PauseStore {
  readonly #db: Database
  readonly #model: string
  readonly #task: string
  readonly #duePaused: Statement
  readonly #resumed: Statement
  readonly #enqueueResumed: Statement

  constructor(db: Database, { model, table, task }: { model: string; table: string; task: string }) {
    this.#db = db
    this.#model = model
    this.#task = task
    this.#duePaused = duePausedStatement(table)
    this.#resumed = resumedStatement(table)
    this.#enqueueResumed = enqueueResumedStatement(table)
  }

  async pause(paths: readonly PausePath[], reason: string | null, { at, after }: PauseEnd): Promise<void> {
    await this.#db.query(sql.pause, [...this.#keys(paths), reason, at?.getTime() ?? null, after ?? null])
  }

  /** Ends pauses and enqueues the calls that waited. Returns whether one was in force. */
  async resume(paths: readonly PausePath[]): Promise<boolean> {
    const ended = await this.#db.query(sql.end, this.#keys(paths))
    if (ended.length > 0) await this.enqueueResumed({ wait: true })
    return ended.length > 0
  }

  /** The pauses that match a target and a method, the widest first. */
  async matching({ target, method }: PausePath): Promise<PauseRow[]> {
    const pauses = await this.list()
    return pauses.filter((pause) => [ALL, target].includes(pause.target) && [ALL, method].includes(pause.method))
  }

  async list(): Promise<PauseRow[]> {
    return (await pausesInForce(this.#db)).filter(({ model }) => model === this.#model)
  }

  /** How many due rows are paused, and the statistics of the others. */
  async statistics(): Promise<DueStatistics> {
    const [row] = await this.#db.query<DueStatistics>(this.#duePaused, [this.#model])
    return row!
  }

  /**
   * Enqueues the rows that waited for pauses which have ended, the highest priorities first, and then removes those pauses. It does
   * nothing for a role that may not add jobs: the worker's sweep does it.
   *
   * @param wait whether to wait while another process does the same. Default: that process is left to do it
   * @returns how many jobs were added
   */
  async enqueueResumed({ wait = false } = {}): Promise<number> {
    const [last] = await this.#db.query<{ until: string | null }>(sql.lastEnd, [this.#model])
    if (!last?.until) return 0
    const [role] = await this.#db.query<{ allowed: boolean | null }>(canAddJobs, [])
    if (!role?.allowed) return 0
    let total = 0
    for await (const ids of this.#resumedIds()) {
      const enqueued = await this.#enqueue(ids, wait)
      if (enqueued === undefined) return total
      total += enqueued
    }
    await this.#db.query(sql.removeEnded, [this.#model, last.until])
    return total
  }

  /** The ids of the rows whose pause has ended, in pages, in the order of the queue. */
  async *#resumedIds(): AsyncGenerator<string[]> {
    let last = { position: String(SMALLEST_ID), scheduledAt: '-infinity', id: String(SMALLEST_ID) }
    while (true) {
      const values = [this.#model, last.position, last.scheduledAt, last.id, CHUNK]
      const [chunk] = await this.#db.query<typeof last & { ids: string[] }>(this.#resumed, values)
      if (!chunk) return
      for (let from = 0; from < chunk.ids.length; from += PAGE) yield chunk.ids.slice(from, from + PAGE)
      if (chunk.ids.length < CHUNK) return
      last = chunk
    }
  }

  /** In a transaction of its own. Returns undefined if another process does the same. */
  async #enqueue(ids: string[], wait: boolean): Promise<number | undefined> {
    return await this.#db.transaction(async (query) => {
      if (!(await this.#lock(query, wait))) return undefined
      const [row] = await query<{ enqueued: number }>(this.#enqueueResumed, [this.#task, ids, this.#model])
      return row?.enqueued ?? 0
    })
  }

  async #lock(query: Query, wait: boolean): Promise<boolean> {
    const [lock] = await query<{ acquired: boolean }>(sql.lockResume, [this.#model, wait])
    return lock!.acquired
  }

  #keys(paths: readonly PausePath[]): unknown[] {
    return [this.#model, paths.map(({ target }) => target), paths.map(({ method }) => method)]
  }
}
