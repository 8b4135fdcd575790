import { callEnded } from '../errors.js'
import type { Prisma7ClientLike, Prisma7TransactionLike } from './client.js'

/**
 * What Prisma passes to a query extension. Prisma's own extension for read replicas reads the transaction from `__internalParams` too. It is
 * that of the outermost `$transaction`, also in nested ones.
 */
interface Operation {
  args: unknown
  query(args: unknown): Promise<unknown>
  __internalParams?: { transaction?: { id: string } }
}

/** `$extends` of a PrismaClient, with a query extension for all operations. */
interface Extendable<Client> {
  $extends?(extension: { query: { $allOperations(operation: Operation): Promise<unknown> } }): Client
}

const tracked = new WeakMap<object, TrackedOperations<Prisma7ClientLike>>()

/** The operations in the transactions of a client. They are tracked by one extension: one for each transaction would be slow. */
export function trackedOperations<Client extends Prisma7ClientLike>(prisma: Client): TrackedOperations<Client> {
  let operations = tracked.get(prisma)
  if (!operations) {
    operations = new TrackedOperations(prisma)
    tracked.set(prisma, operations)
  }
  return operations as TrackedOperations<Client>
}

/**
 * The operations that run in the transactions of a client. One operation, such as an upsert or a nested write, may send several statements.
 * If the transaction ends between two of them, Prisma sends the others after it, where each commits on its own.
 */
class TrackedOperations<Client extends Prisma7ClientLike> {
  /** A client with the same models. The operations in its transactions are tracked. */
  readonly client: Client
  /** By the id of the transaction. */
  readonly #running = new Map<string, Set<Promise<unknown>>>()
  readonly #closed = new Set<string>()

  constructor(prisma: Client) {
    const { $extends } = prisma as Extendable<Client>
    this.client =
      typeof $extends === 'function'
        ? $extends.call(prisma, { query: { $allOperations: (operation) => this.#run(operation) } })
        : prisma
  }

  /** Rejects further operations of a transaction. Resolves when those have ended that run now. */
  async close(tx: Prisma7TransactionLike): Promise<void> {
    const id = await idOf(tx)
    if (id === undefined) return
    this.#closed.add(id)
    // Prisma itself rejects operations of a transaction that has ended. Its message does not say why it has ended.
    if (this.#closed.size > MAX_CLOSED) this.#closed.delete(this.#closed.values().next().value!)
    await Promise.allSettled(this.#running.get(id) ?? [])
  }

  async #run({ args, query, __internalParams }: Operation): Promise<unknown> {
    const id = __internalParams?.transaction?.id
    if (isIdentification(args)) return id
    if (id === undefined) return await query(args)
    if (this.#closed.has(id)) throw callEnded()

    const running = this.#running.get(id) ?? new Set()
    this.#running.set(id, running)
    const operation = query(args)
    running.add(operation)
    try {
      return await operation
    } finally {
      running.delete(operation)
      if (running.size === 0) this.#running.delete(id)
    }
  }
}

/** How many closed transactions are remembered. */
const MAX_CLOSED = 1000

/** The extension answers this text with the id of the transaction. It is not sent to the database. */
const IDENTIFY = 'async-gen: the id of this transaction'

function isIdentification(args: unknown): boolean {
  return Array.isArray(args) && args[0] === IDENTIFY
}

/** Undefined if an extension of the host's did not pass the text or the answer on. */
async function idOf(tx: Prisma7TransactionLike): Promise<string | undefined> {
  try {
    const answer: unknown = await tx.$queryRawUnsafe(IDENTIFY)
    return typeof answer === 'string' ? answer : undefined
  } catch {
    return undefined
  }
}
