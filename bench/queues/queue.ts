import type pg from 'pg'

/** What the calls of the benchmarks do: add two numbers, report that they have started, or do that and run for ever. */
export type Method = 'add' | 'stamp' | 'hold'

/** How a worker is set up: for many short calls, for a short time until a call starts, or as the queue does by itself. */
export type Purpose = 'throughput' | 'latency' | 'defaults'

export interface WorkerOptions {
  purpose: Purpose
  concurrency: number
}

/** One of the job queues that are compared. */
export interface Queue {
  name: string
  /** The settings of a worker for each purpose, and the page that recommends them. */
  settings: string
  /** Prepares a database, and connects this process to it, to record calls. */
  open(url: string): Promise<OpenQueue>
  /** Runs calls in this process until it ends. Resolves when calls are taken. */
  work(url: string, options: WorkerOptions): Promise<unknown>
}

export interface OpenQueue {
  /** Records one call for each list of arguments, through a connection, and so in its transaction. */
  record(client: pg.ClientBase, method: Method, args: unknown[][]): Promise<void>
  /** Whether all calls have ended. */
  isEmpty(client: pg.ClientBase): Promise<boolean>
  close(): Promise<void>
}
