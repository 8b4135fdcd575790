import pg from 'pg'
import { PARSERS } from './parsers.js'
import { StartupOptions } from './startup-options.js'

/** How long opening a connection may take, in milliseconds. Waiting for a free connection of the pool may take longer. */
const CONNECT_TIMEOUT = 10_000

/** How pg reads the columns of a row. */
export const TYPES: pg.CustomTypesConfig = {
  getTypeParser: (type: number, format?: 'text' | 'binary') =>
    PARSERS.get(type) ?? pg.types.getTypeParser(type, format as 'text'),
}

type ConnectCallback = (
  error: Error | undefined,
  client: pg.PoolClient | undefined,
  release: (broken?: Error | boolean) => void,
) => void

/** The runtime's own connections, with the settings that its statements depend on, as far as a pooler accepts them. */
export class RuntimePool extends pg.Pool {
  readonly #startup: StartupOptions
  readonly #connections: Set<pg.Client>

  constructor(url: string, max: number) {
    const connections = new Set<pg.Client>()
    const startup = new StartupOptions(url)
    class Connection extends pg.Client {
      readonly requestedOptions = startup.text
      constructor(config?: pg.ClientConfig) {
        super({ ...config, connectionTimeoutMillis: CONNECT_TIMEOUT })
        connections.add(this)
        this.once('end', () => connections.delete(this))
      }
    }
    // Graphile Worker uses this pool too, and pg's own parser of times takes several times as long.
    super({ connectionString: startup.url, max, allowExitOnIdle: true, Client: Connection, types: TYPES })
    this.#startup = startup
    this.#connections = connections
    // A getter, because the options change when a pooler rejects them.
    Object.defineProperty(this.options, 'options', { enumerable: true, get: () => startup.text })
    this.options.verify = (client, done) => {
      verify(client as unknown as Connection, startup).then(() => done(), done)
    }
    // A connection that the server closes is replaced at the next query. Without a listener, its error would end the process.
    this.on('error', () => {})
    this.on('connect', (client) => client.on('error', () => {}))
  }

  override connect(): Promise<pg.PoolClient>
  override connect(callback: ConnectCallback): void
  override connect(callback?: ConnectCallback): Promise<pg.PoolClient> | undefined {
    if (!callback) {
      return new Promise((resolve, reject) => {
        this.connect((error, client) => (error ? reject(error) : resolve(client!)))
      })
    }
    const requested = this.#startup.text
    super.connect((error, client, release) => {
      if (error && this.#startup.adaptTo(error, requested)) this.connect(callback)
      else callback(error, client, release)
    })
    return undefined
  }

  /** Finds out which settings the server, or a pooler in front of it, accepts. A session that is opened later uses them too. */
  async negotiateSettings(): Promise<void> {
    if (this.#startup.isNegotiated) return
    const client = await this.connect()
    client.release()
  }

  /** Closes all connections at once. Their statements fail. */
  destroyConnections(): void {
    for (const connection of this.#connections) streamOf(connection).destroy()
  }
}

/**
 * Prisma's tables are in `public`, whatever `search_path` the database sets.
 * @throws if the connection cannot find them: the next one asks for another `search_path`
 */
async function verify(connection: pg.Client & { requestedOptions: string }, startup: StartupOptions): Promise<void> {
  if (startup.usesDatabaseSearchPath) {
    const { rows } = await connection.query<{ path: string }>(searchPathWithoutPublic)
    if (rows[0]) startup.addPublicTo(rows[0].path)
  }
  if (connection.requestedOptions !== startup.text) throw new Error('The connection has outdated startup settings.')
  startup.isNegotiated = true
}

const searchPathWithoutPublic = `
  SELECT current_setting('search_path') AS path
  WHERE to_regnamespace('public') IS NOT NULL AND NOT 'public' = ANY (current_schemas(false))`

// pg's clients have it, its types do not.
function streamOf(client: object): { destroy(): void } {
  return (client as { connection: { stream: { destroy(): void } } }).connection.stream
}
