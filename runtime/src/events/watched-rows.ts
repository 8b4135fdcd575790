import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../core/database.js'
import type { Statement } from '../core/statement.js'

/** A row that changed since it was last read. */
export interface ChangedRow {
  key: string
  /** `NO_ROW` if there is no such row. Its columns are null then. */
  version: string
}

/** How the rows of one table are read. */
export interface WatchedTable {
  /** Tells tables apart: two with the same name share their rows. */
  readonly name: string
  /** Reads the rows whose version differs, at most `PAGE` of them. $1 is a JSON array of `{ key, version }`, with null for no version. */
  readonly statement: Statement
}

export type RowListener = (row: ChangedRow) => void

/** How many rows one statement reads, because each may have a large value. */
export const PAGE = 100

/** How many rows one statement looks at. It is sent again while it finds as many changes as it reads, so it is not longer. */
const CHUNK = 1000

/** The version of a row that does not exist. */
export const NO_ROW = 'none'

/** The pause between two reads, in milliseconds. */
const PAUSE = 250

/** How many times longer the pause is than the read before it: reading takes at most a twentieth of the time. */
const PAUSE_FACTOR = 20

/** The longest pause after an error, in milliseconds. */
const LONGEST_PAUSE = 5000

/** How long a first read waits, so that clients that connect at the same time share it. Milliseconds. */
const GATHERING = 5

interface WatchedRow {
  /** What was last read. */
  row: ChangedRow | undefined
  readonly listeners: Set<RowListener>
}

/**
 * The rows that clients of this process follow. One statement for each table reads the rows that have changed, four times a second, however
 * many clients there are. Nothing runs while there are none, and the statements that write rows know nothing of it.
 */
export class WatchedRows {
  readonly #db: Database
  readonly #tables = new Map<string, { table: WatchedTable; rows: Map<string, WatchedRow> }>()
  #polling: Promise<void> | undefined
  /** Whether a row is watched that has not been read yet. */
  #hasUnread = false
  #endPause = () => {}

  constructor(db: Database) {
    this.#db = db
  }

  /** How many listeners there are. */
  get size(): number {
    const rows = [...this.#tables.values()].flatMap((table) => [...table.rows.values()])
    return rows.reduce((sum, { listeners }) => sum + listeners.size, 0)
  }

  /**
   * Calls the listener with the row: soon, and after each change.
   * @returns a function that ends it
   */
  watch(table: WatchedTable, key: string, listener: RowListener): () => void {
    let watched = this.#tables.get(table.name)
    if (!watched) {
      watched = { table, rows: new Map() }
      this.#tables.set(table.name, watched)
    }
    const { rows } = watched
    const entry = rows.get(key) ?? { row: undefined, listeners: new Set() }
    rows.set(key, entry)
    entry.listeners.add(listener)
    if (entry.row) notify(listener, entry.row)
    else {
      this.#hasUnread = true
      this.#endPause()
    }
    this.#polling ??= this.#poll()
    return () => {
      entry.listeners.delete(listener)
      if (entry.listeners.size > 0 || rows.get(key) !== entry) return
      rows.delete(key)
      if (rows.size === 0 && this.#tables.get(table.name) === watched) this.#tables.delete(table.name)
      if (this.#tables.size === 0) this.#endPause()
    }
  }

  async #poll(): Promise<void> {
    let failures = 0
    let nextAt = 0
    await sleep(GATHERING, undefined, { ref: false })
    while (this.#tables.size > 0) {
      const started = performance.now()
      const isDue = started >= nextAt
      const errors = await this.#readAll(isDue ? 'all' : 'unread')
      if (errors[0] && failures === 0) warn(errors[0])
      failures = errors[0] ? failures + 1 : 0
      const now = performance.now()
      if (isDue || failures > 0) nextAt = now + pauseAfter(now - started, failures)
      if (this.#tables.size > 0) await this.#pause(nextAt - now, failures > 0)
    }
    this.#polling = undefined
  }

  /** Reads each table, also after an error in another one. */
  async #readAll(which: Which): Promise<Error[]> {
    const errors: Error[] = []
    this.#hasUnread = false
    for (const { table, rows } of this.#tables.values())
      await this.#read(table, rows, which).catch((error: Error) => errors.push(error))
    return errors
  }

  /** A pause that ends when a client wants a row that was not read yet. After an error, it only ends in time. */
  async #pause(duration: number, whole: boolean): Promise<void> {
    const ended = new AbortController()
    if (!whole) this.#endPause = () => ended.abort()
    if (!whole && this.#hasUnread) ended.abort()
    await sleep(duration, undefined, { ref: false, signal: ended.signal }).catch(() => sleep(GATHERING))
    this.#endPause = () => {}
  }

  async #read({ statement }: WatchedTable, rows: Map<string, WatchedRow>, which: Which): Promise<void> {
    const wanted = [...rows].filter(([, { row }]) => which === 'all' || !row)
    for (let from = 0; from < wanted.length; from += CHUNK) {
      let chunk = wanted.slice(from, from + CHUNK)
      for (let isMore = true; isMore; ) {
        // Without those that nobody follows any more: their versions are not kept, so they would be read again and again.
        chunk = chunk.filter(([key, entry]) => rows.get(key) === entry)
        if (chunk.length === 0) break
        const watched = chunk.map(([key, { row }]) => ({ key, version: row?.version ?? null }))
        const changed = await this.#db.query<ChangedRow>(statement, [JSON.stringify(watched)])
        for (const row of changed) {
          const entry = rows.get(row.key)
          if (!entry) continue
          entry.row = row
          for (const listener of entry.listeners) notify(listener, row)
        }
        isMore = changed.length === PAGE
      }
    }
  }
}

/** Which of the watched rows to read: all of them, or those that were not read yet. */
type Which = 'all' | 'unread'

/** An error of one listener must not keep the row from the others, nor other rows from theirs. */
function notify(listener: RowListener, row: ChangedRow): void {
  try {
    listener(row)
  } catch (error) {
    process.emitWarning(`asyncEvents could not send a row to a client: ${(error as Error).message}`, {
      code: 'EVENT_NOT_SENT',
    })
  }
}

/** The pause after a read that took so many milliseconds. */
function pauseAfter(duration: number, failures: number): number {
  const afterErrors = failures > 0 ? PAUSE * 2 ** failures : 0
  return Math.min(Math.max(PAUSE, PAUSE_FACTOR * duration, afterErrors), LONGEST_PAUSE)
}

function warn({ message }: Error): void {
  process.emitWarning(`asyncEvents could not read the rows that clients follow, and tries again: ${message}`, {
    code: 'EVENTS_NOT_READ',
  })
}

const watchedRows = new WeakMap<Database, WatchedRows>()

/** The rows of that database that clients of this process follow. */
export function watchedRowsOf(db: Database): WatchedRows {
  let rows = watchedRows.get(db)
  if (!rows) {
    rows = new WatchedRows(db)
    watchedRows.set(db, rows)
  }
  return rows
}
