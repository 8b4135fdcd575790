import { AsyncGenError } from '../errors.js'
import type { TransactionOf } from './client.js'
import type { Prisma8ClientLike } from './prisma-8-client.js'
import { heldOpen, type OpenTransaction } from './transaction.js'

/**
 * Opens a transaction of a client of Prisma 8 that ends when the caller says so, not when a callback returns.
 * @param timeout after how many milliseconds it is rolled back
 */
export function openPrisma8Transaction<Client extends Prisma8ClientLike>(
  client: Client,
  timeout: number,
): Promise<Omit<OpenTransaction<Client>, 'cancelStatement'>> {
  return heldOpen(
    (run) => client.transaction((tx: TransactionOf<Client> & object) => withinTimeout(tx, () => run(tx), timeout)),
    (tx) => closeStatements(tx as object, callEnded()),
  )
}

/** Prisma 8 has no time limit for transactions. */
export async function withinTimeout<Result>(tx: object, run: () => Promise<Result>, timeout: number): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new AsyncGenError('TRANSACTION_TIMEOUT', `The transaction took longer than ${timeout} ms.`)
      closeStatements(tx, error)
      reject(error)
    }, timeout)
  })
  try {
    return await Promise.race([run(), expired])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Rejects further statements of a transaction. Prisma 8 itself does so when the ROLLBACK has ended. What is started while it runs would be
 * sent after it, where each statement commits on its own. All statements, also those of `tx.orm`, go through the prototype of `tx`.
 */
function closeStatements(tx: object, reason: Error): void {
  const statements = Object.getPrototypeOf(tx)
  for (const name of ['query', 'execute']) {
    if (!Object.hasOwn(statements, name)) continue
    statements[name] = () => {
      throw reason
    }
  }
}

function callEnded(): AsyncGenError {
  return new AsyncGenError('CALL_ENDED', 'The call has ended. Await everything that it starts before it returns.')
}
