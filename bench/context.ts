import { runMigrations } from 'graphile-worker'
import { APP } from '../test/support/host.js'
import { createDatabase, startPostgres } from '../test/support/postgres.js'
import { prisma } from '../test/support/prisma.js'

/** What a benchmark is given. */
export interface BenchContext {
  /** A few seconds, to see that the benchmark works: its figures mean nothing. */
  short: boolean
  /** Creates a database with the tables of the application and of Graphile Worker. */
  database(): Promise<string>
  /** Says on the terminal what is being done. */
  say(line: string): void
}

const TEMPLATE = 'bench'

/**
 * Starts a PostgreSQL for one benchmark or several: with its own default settings, on the disk of this machine.
 * @param settings other settings
 */
export async function openContext(short: boolean, settings: Record<string, string> = {}) {
  const server = await startPostgres({ settings })
  const url = await createDatabase(server, { name: TEMPLATE })
  await prisma(APP, ['migrate', 'deploy'], { env: { DATABASE_URL: url } })
  await runMigrations({ connectionString: url })
  const context: BenchContext = {
    short,
    database: async () => await createDatabase(server, { template: TEMPLATE }),
    say: (line) => console.log(line),
  }
  return { context, server, close: server.stop }
}
