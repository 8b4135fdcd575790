/** The parts of a `pg` pool that are needed to close its connections at once. */
interface Pool {
  on(event: 'connect', listener: (connection: Connection) => void): unknown
  ended?: boolean
  /** All connections, in use and idle. An internal property of pg. */
  _clients?: Connection[]
}

interface Connection {
  on(event: 'error', listener: () => void): unknown
  connection?: { stream?: { destroy(): void } }
}

/** The factory of driver adapters that the client was created with, an internal property of Prisma. */
interface AdapterFactory {
  connect(...args: unknown[]): Promise<{ underlyingDriver?(): unknown }>
}

/**
 * The connections of a PrismaClient, if its driver adapter exposes them. Prisma's `$disconnect` waits for an answer on each of them. After
 * a failover there may be none, and the client would hang until TCP times out.
 */
export class PrismaConnections {
  readonly #pools = new Set<Pool>()

  /** @param client a client that has not connected yet: earlier connections are not found */
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

  /** Closes all connections at once. Their statements fail. Returns whether any pool is known. */
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
    // While the pool hands a connection over, it has no listener, and an error at that moment would end the process.
    pool.on('connect', (connection) => connection.on('error', () => {}))
  }
}

function isPool(driver: unknown): driver is Pool {
  return typeof driver === 'object' && driver !== null && 'on' in driver && '_clients' in driver
}
