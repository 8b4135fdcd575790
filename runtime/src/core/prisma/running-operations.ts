import { AsyncGenError } from '../errors.js'
import type { PrismaClientLike } from './client.js'

/** What Prisma passes to a query extension. */
interface Operation {
  args: unknown
  query(args: unknown): Promise<unknown>
}

/** `$extends` of a PrismaClient, with a query extension for all operations. */
interface Extendable<Client> {
  $extends?(extension: { query: { $allOperations(operation: Operation): Promise<unknown> } }): Client
}

/**
 * The operations of a transaction that run. One operation, such as an upsert or a nested write, may send several statements. If the
 * transaction ends between two of them, Prisma sends the others after it, where each commits on its own.
 */
export class RunningOperations {
  readonly #running = new Set<Promise<unknown>>()
  #isClosed = false

  /** A client with the same models, whose operations are tracked here. */
  trackedBy<Client extends PrismaClientLike>(prisma: Client): Client {
    const { $extends } = prisma as Extendable<Client>
    if (typeof $extends !== 'function') return prisma
    return $extends.call(prisma, {
      query: { $allOperations: ({ args, query }) => this.#track(async () => await query(args)) },
    })
  }

  /** Rejects further operations. */
  close(): void {
    this.#isClosed = true
  }

  /** Resolves when the operations have ended that run now. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running)
  }

  async #track(run: () => Promise<unknown>): Promise<unknown> {
    if (this.#isClosed)
      throw new AsyncGenError('CALL_ENDED', 'The call has ended. Await everything that it starts before it returns.')
    const running = run()
    this.#running.add(running)
    try {
      return await running
    } finally {
      this.#running.delete(running)
    }
  }
}
