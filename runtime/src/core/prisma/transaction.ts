import type { PrismaClientLike, TransactionOf } from './client.js'

/** A transaction that stays open until `commit` or `rollback` is called. */
export interface OpenTransaction<Client> {
  tx: TransactionOf<Client>
  commit(): Promise<void>
  rollback(): Promise<void>
}

/** How long a call waits for a connection of the PrismaClient, because more calls may run than it has connections. Milliseconds. */
const CONNECTION_TIMEOUT = 60_000

/**
 * Opens an interactive transaction of a PrismaClient that ends when the caller says so, not when a callback returns.
 * @param timeout after how many milliseconds Prisma rolls it back
 */
export function openTransaction<Client extends PrismaClientLike>(
  prisma: Client,
  timeout: number,
): Promise<OpenTransaction<Client>> {
  const rolledBack = new Error('rolled back on request')
  return new Promise((resolve, reject) => {
    const ended: Promise<void> = prisma.$transaction(
      (tx: TransactionOf<Client>) =>
        new Promise<void>((commit, fail) => {
          resolve({
            tx,
            commit: () => {
              commit()
              return ended
            },
            rollback: async () => {
              fail(rolledBack)
              await ended.catch(() => {})
            },
          })
        }),
      { timeout, maxWait: CONNECTION_TIMEOUT },
    )
    ended.catch(reject)
  })
}
