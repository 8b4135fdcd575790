import type { Statement } from '../statement.js'
import type { Prisma7ClientLike, TransactionOf } from './client.js'
import { trackedOperations } from './running-operations.js'

/** A transaction that stays open until `commit` or `rollback` is called. */
export interface OpenTransaction<Client> {
  tx: TransactionOf<Client>
  commit(): Promise<void>
  /** Rejects further operations, and rolls back when those have ended that run now. */
  rollback(): Promise<void>
  /** Cancels the statement that runs in the transaction. It does nothing if none runs, or if the transaction is not cancellable. */
  cancelStatement(): Promise<void>
}

/** How long a call waits for a connection of the PrismaClient, because more calls may run than it has connections. Milliseconds. */
const CONNECTION_TIMEOUT = 60_000

/**
 * Opens an interactive transaction of a PrismaClient that ends when the caller says so, not when a callback returns.
 * @param timeout after how many milliseconds Prisma rolls it back
 */
export function openTransaction<Client extends Prisma7ClientLike>(
  prisma: Client,
  timeout: number,
): Promise<Omit<OpenTransaction<Client>, 'cancelStatement'>> {
  const operations = trackedOperations(prisma)
  return heldOpen(
    (run) => operations.client.$transaction(run, { timeout, maxWait: CONNECTION_TIMEOUT }),
    (tx, ended) => Promise.race([operations.close(tx), ended.catch(() => {})]),
  )
}

/**
 * Holds a transaction open whose client ends it when a callback returns.
 * @param begin calls the callback, and resolves or rejects when the transaction has ended
 * @param close rejects further operations before a ROLLBACK
 */
export function heldOpen<Client>(
  begin: (run: (tx: TransactionOf<Client>) => Promise<void>) => Promise<void>,
  close: (tx: TransactionOf<Client>, ended: Promise<void>) => unknown,
): Promise<Omit<OpenTransaction<Client>, 'cancelStatement'>> {
  const rolledBack = new Error('rolled back on request')
  return new Promise((resolve, reject) => {
    const ended = begin(
      (tx) =>
        new Promise<void>((commit, fail) => {
          resolve({
            tx,
            commit: () => {
              commit()
              return ended
            },
            rollback: async () => {
              await close(tx, ended)
              fail(rolledBack)
              await ended.catch(() => {})
            },
          })
        }),
    )
    ended.catch(reject)
  })
}

/** The session and the transaction in which a statement runs. */
export interface BackendTransaction {
  pid: number
  /** When the transaction began, in microseconds since 1970. */
  started: string
}

export const identifyTransaction: Statement = {
  name: 'async-gen:identify-transaction',
  text: `SELECT pg_backend_pid() AS pid, (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint::text AS started`,
}

// Only while the session is in that transaction: the connection may already run another one.
export const cancelStatement: Statement = {
  name: 'async-gen:cancel-statement',
  text: `
    -- $1 pid, $2 when the transaction began (µs)
    SELECT pg_cancel_backend(pid)
    FROM pg_stat_activity
    WHERE pid = $1 AND state = 'active' AND (extract(epoch FROM xact_start) * 1000000)::bigint = $2::bigint`,
}
