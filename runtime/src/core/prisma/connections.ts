/** As much of a `pg` pool, the host's or that of Prisma's driver adapter, as it takes to give its connections up. */
interface Pool {
  on(event: 'connect', listener: (connection: Connection) => void): unknown
  /** Whether it was closed. */
  ended?: boolean
  /** All connections, lent and idle. pg keeps this for itself. */
  _clients?: Connection[]
}

interface Connection {
  on(event: 'error', listener: () => void): unknown
  connection?: { stream?: { destroy(): void } }
}

/** What Prisma keeps for itself: the factory of driver adapters that the client was made with. */
interface AdapterFactory {
  connect(...args: unknown[]): Promise<{ underlyingDriver?(): unknown }>
}

/**
 * The connections of a PrismaClient, as far as its driver adapter tells of them. Prisma's own `$disconnect` waits for the answer of each:
 * after a failover, nobody may be there to give it, and the client would hang for as long as TCP hopes.
 */
export class PrismaConnections {
  readonly #pools = new Set<Pool>()

  /** @param client one that has not connected yet: what it opened before is not known */
  constructor(client: object) {
    const { _engineConfig: config } = client as { _engineConfig?: { adapter?: AdapterFactory } }
    const factory = config?.adapter
    if (typeof factory?.connect !== 'function') return
    const connect = factory.connect.bind(factory)
    factory.connect = async (...args) => {
      const adapter = await connect(...args)
      const pool = adapter.underlyingDriver?.()
      if (isPool(pool)) this.#watch(pool)
      return adapter
    }
  }

  /** Ends all connections at once, with their statements. Returns whether any pool is known. */
  destroy(): boolean {
    for (const pool of this.#pools) {
      if (pool.ended) this.#pools.delete(pool)
      for (const { connection } of pool._clients ?? []) connection?.stream?.destroy()
    }
    return this.#pools.size > 0
  }

  #watch(pool: Pool): void {
    if (this.#pools.has(pool)) return
    this.#pools.add(pool)
    // Between pool and borrower a connection has no listener, and an error that comes in that moment would end the process.
    pool.on('connect', (connection) => connection.on('error', () => {}))
  }
}

function isPool(driver: unknown): driver is Pool {
  return typeof driver === 'object' && driver !== null && 'on' in driver && '_clients' in driver
}
