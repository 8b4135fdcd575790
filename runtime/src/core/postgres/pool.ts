import pg from 'pg'
import { StartupOptions } from './startup-options.js'

/** How long opening a connection may take, in milliseconds. Waiting for one that others hold may take longer. */
const CONNECT_WITHIN = 10_000

type Connected = (
  error: Error | undefined,
  client: pg.PoolClient | undefined,
  release: (broken?: Error | boolean) => void,
) => void

/** The runtime's own connections, with the settings that its statements depend on as far as a pooler lets them. */
export class RuntimePool extends pg.Pool {
  readonly #startup: StartupOptions
  readonly #connections: Set<pg.Client>

  constructor(url: string, max: number) {
    const connections = new Set<pg.Client>()
    const startup = new StartupOptions(url)
    class Connection extends pg.Client {
      readonly asked = startup.text
      constructor(config?: pg.ClientConfig) {
        super({ ...config, connectionTimeoutMillis: CONNECT_WITHIN })
        connections.add(this)
        this.once('end', () => connections.delete(this))
      }
    }
    super({ connectionString: startup.url, max, allowExitOnIdle: true, Client: Connection })
    this.#startup = startup
    this.#connections = connections
    // Read for each connection that opens, as a pooler may have refused what was asked for before.
    Object.defineProperty(this.options, 'options', { enumerable: true, get: () => startup.text })
    this.options.verify = (client, done) => {
      verify(client as unknown as Connection, startup).then(() => done(), done)
    }
    // A connection that the server closes is replaced at the next query; without listeners it would end the process.
    this.on('error', () => {})
    this.on('connect', (client) => client.on('error', () => {}))
  }

  override connect(): Promise<pg.PoolClient>
  override connect(connected: Connected): void
  override connect(connected?: Connected): Promise<pg.PoolClient> | undefined {
    if (!connected) {
      return new Promise((resolve, reject) => {
        this.connect((error, client) => (error ? reject(error) : resolve(client!)))
      })
    }
    const asked = this.#startup.text
    super.connect((error, client, release) => {
      if (error && this.#startup.changeAfter(error, asked)) this.connect(connected)
      else connected(error, client, release)
    })
    return undefined
  }

  /** Finds out which settings the server takes, or a pooler before it: a session that is opened afterwards has them too. */
  async settle(): Promise<void> {
    if (this.#startup.isSettled) return
    const client = await this.connect()
    client.release()
  }

  /** Ends all connections at once, with their statements. */
  destroyConnections(): void {
    for (const connection of this.#connections) streamOf(connection).destroy()
  }
}

/**
 * Prisma has the tables in `public`, whatever `search_path` the database sets.
 * @throws where another connection has to be opened, one that finds them
 */
async function verify(connection: pg.Client & { asked: string }, startup: StartupOptions): Promise<void> {
  if (startup.hasDatabasesSearchPath) {
    const { rows } = await connection.query<{ path: string }>(searchPathWithoutPublic)
    if (rows[0]) startup.addPublicTo(rows[0].path)
  }
  if (connection.asked !== startup.text) throw new Error('The connection has other settings than were asked for.')
  startup.isSettled = true
}

const searchPathWithoutPublic = `
  SELECT current_setting('search_path') AS path
  WHERE to_regnamespace('public') IS NOT NULL AND NOT 'public' = ANY (current_schemas(false))`

// pg's clients have it, its types do not.
function streamOf(client: object): { destroy(): void } {
  return (client as { connection: { stream: { destroy(): void } } }).connection.stream
}
