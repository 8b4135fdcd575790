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
  const open = new WeakMap<object, TransactionStatements>()
  return heldOpen(
    (run) =>
      client.transaction((tx: TransactionOf<Client> & object) =>
        withinTimeout(tx, timeout, (statements) => {
          open.set(tx, statements)
          return run(tx)
        }),
      ),
    (tx) => open.get(tx as object)?.close(hasEnded()),
  )
}

/** Prisma 8 has no time limit for transactions. Statements that the function has started and not awaited end before the transaction does. */
export async function withinTimeout<Result>(
  tx: object,
  timeout: number,
  run: (statements: TransactionStatements) => Promise<Result>,
): Promise<Result> {
  const statements = new TransactionStatements(tx)
  let timer: NodeJS.Timeout | undefined
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new AsyncGenError('TRANSACTION_TIMEOUT', `The transaction took longer than ${timeout} ms.`)
      statements.close(error).then(() => reject(error))
    }, timeout)
  })
  try {
    return await Promise.race([run(statements), expired])
  } finally {
    clearTimeout(timer)
    await statements.close(hasEnded())
  }
}

/**
 * The statements of a transaction. Prisma 8 sends a statement when its result is first read, after the hooks of its middleware. It rejects only
 * statements that are created when the ROLLBACK has ended. One that it sends in between, or later, commits on its own.
 */
class TransactionStatements {
  readonly #running = new Set<Promise<unknown>>()
  #refusal: Error | undefined

  constructor(tx: object) {
    // All statements, also prepared ones and those of `tx.orm`, go through the prototype of `tx`. Each transaction has its own.
    const methods = Object.getPrototypeOf(tx) as Record<string | symbol, unknown>
    for (const name of Reflect.ownKeys(methods)) {
      const { value: send } = Object.getOwnPropertyDescriptor(methods, name)!
      if (typeof send === 'function') methods[name] = (...args: unknown[]) => this.#send(send.bind(methods, ...args))
    }
  }

  /** Rejects further statements. Resolves when those have ended that run now. */
  async close(reason: Error): Promise<void> {
    this.#refusal ??= reason
    await Promise.allSettled(this.#running)
  }

  #send(send: () => unknown): unknown {
    this.#requireOpen()
    const result = send()
    if (!isRows(result)) return this.#track(result as Promise<unknown>)
    const Rows = result.constructor as new (rows: AsyncIterable<unknown>) => object
    return new Rows(this.#read(result))
  }

  /** The statement has ended when its first row is there. */
  async *#read(rows: AsyncIterable<unknown>): AsyncGenerator<unknown> {
    this.#requireOpen()
    const iterator = rows[Symbol.asyncIterator]()
    try {
      let next = await this.#track(iterator.next())
      while (!next.done) {
        yield next.value
        next = await iterator.next()
      }
    } finally {
      await iterator.return?.()
    }
  }

  async #track<Value>(running: Promise<Value>): Promise<Value> {
    this.#running.add(running)
    try {
      return await running
    } finally {
      this.#running.delete(running)
    }
  }

  #requireOpen(): void {
    if (this.#refusal) throw this.#refusal
  }
}

function isRows(result: unknown): result is AsyncIterable<unknown> {
  return typeof result === 'object' && result !== null && Symbol.asyncIterator in result
}

function hasEnded(): AsyncGenError {
  return new AsyncGenError(
    'CALL_ENDED',
    'The call or the test has ended. Await everything that it starts before it returns.',
  )
}
