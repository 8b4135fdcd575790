import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Fleet, Worker } from './fleet.js'
import type { SilentProxy } from './proxy.js'

/** Where scenarios are played: an application, and a PostgreSQL server. */
export interface Ground {
  /** The application's folder. */
  host: string
  /** A fresh database with the application's tables, and Graphile Worker's. */
  createDatabase(): Promise<Access>
  /** Stops the server without a checkpoint, and starts it again, where the server is ours. */
  server?: { crash(): Promise<void>; start(): Promise<void> }
}

/** One database, by two roles. */
export interface Access {
  /** As the application connects. */
  url: string
  /** As the superuser. */
  admin: string
}

/** Work that a fault interrupted: the calls that ran or were lost when it ended, and some that were recorded at that moment. */
export interface Interruption {
  at: Date
  calls: string[]
}

/** What a scenario works with. */
export interface Scene {
  fleet: Fleet
  /** How many workers there are at a time. */
  workers: number
  ground: Ground
  /** Where the scenario asked for one. */
  proxy: SilentProxy | undefined
  access: Access
  /** The database's name, and the application's role. */
  database: string
  role: string
  /** Runs statements as the superuser, in the scenario's database. */
  sql<Row extends pg.QueryResultRow = pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>
  /** The same from the database `postgres`. */
  elsewhere(text: string, values?: unknown[]): Promise<pg.QueryResultRow[]>
  /** Ends all sessions of the database but those of this program and of the witnesses. Returns how many. */
  terminate(): Promise<number>
  /** Records calls: half of them are exact. Resolves when they are recorded. */
  record(count: number, options?: { milliseconds?: number; priority?: number; maxAttempts?: number }): Promise<string[]>
  /** Waits until so many more calls have succeeded than at this moment. */
  progress(count: number): Promise<void>
  /** A number from 0 to 1, the same in each run with the same seed. */
  random(): number
  pick<Item>(items: Item[]): Item
  /** Kills workers; what ran in them is measured. */
  kill(...workers: Worker[]): Promise<void>
  /** Holds a lock on the row of a call that is due, in a transaction of the application's, while something is done. */
  holdingRow(run: () => Promise<void>): Promise<void>
  /** Records calls until each worker that says it is ready has taken one. Returns those that do not within a minute. */
  untilEachTakesWork(): Promise<string[]>
  /** Lets a fault last. */
  lasts(seconds: number): Promise<void>
}

/** What proves that calls ran: owned by the application's role. */
export const PROOF = `
  CREATE TABLE chaos_runs (
    attempt bigint, run int, pid int, method text, began timestamptz DEFAULT clock_timestamp(), ended timestamptz,
    PRIMARY KEY (attempt, run, pid)
  );
  CREATE INDEX ON chaos_runs (pid);
  CREATE TABLE chaos_loose (attempt bigint, run int, pid int, PRIMARY KEY (attempt, run, pid));
  CREATE TABLE chaos_exact (attempt bigint)`

/** A pool that survives restarts of the server and whatever a scenario sets for the database. */
export function openPool(url: string, max: number): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    // No scenario ends connections of this name.
    application_name: 'chaos',
    options:
      '-c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed -c statement_timeout=0 -c lock_timeout=0',
    max,
    allowExitOnIdle: true,
  })
  pool.on('error', () => {})
  return pool
}

/** Runs a statement, again and again while the server is away. */
export async function persist<Row extends pg.QueryResultRow>(pool: pg.Pool, text: string, values: unknown[] = []) {
  for (const end = performance.now() + 120_000; ; await sleep(200)) {
    try {
      return (await pool.query<Row>(text, values)).rows
    } catch (error) {
      if (!isAway(error) || performance.now() > end) throw error
    }
  }
}

/** Whether the server has ended the connection, refuses others, or recovers. */
function isAway(error: unknown): boolean {
  const { code = '', message } = error as { code?: string; message: string }
  return /^(ECONN|EPIPE|57P0|08)/.test(code) || /Connection terminated|timeout/.test(message)
}

/** Mulberry32: small, and good enough to choose victims and durations. */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
