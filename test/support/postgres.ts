import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import pg from 'pg'
import { scratchRoot } from './scratch.js'

/** A PostgreSQL that this run may use: plain data, so that it can be handed to other processes. */
export interface PostgresServer {
  /** Connects as a role that may create databases. */
  url: string
  /** Every database of the run is named after it. No other database of the server is ever touched. */
  prefix: string
}

/**
 * Starts a throwaway PostgreSQL, or uses the server that DATABASE_URL names. Whatever the run leaves there goes when
 * `stop` is called, and also when this process is interrupted, crashes or is killed: a keeper, a process of its own,
 * waits for the other end of its pipe to close. The same holds for what is put into `folder`.
 *
 * `crash` stops a throwaway server as `pg_ctl stop -m immediate` does, `start` starts it again.
 *
 * @param options `network`: always a throwaway one, which listens to that network too, by the address that this machine has
 *   there: `10.0.0.1/24`. `settings`: always a throwaway one, with PostgreSQL's own defaults but for these settings
 */
export async function startPostgres({
  network,
  settings,
}: {
  network?: string
  settings?: Record<string, string>
} = {}): Promise<PostgresServer & { folder: string; stop: () => Promise<void>; crash: Order; start: Order }> {
  const prefix = `async_gen_${randomBytes(4).toString('hex')}`
  // With PostgreSQL's own settings, its disk counts.
  const folder = join(settings ? tmpdir() : scratchRoot(), prefix)
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
  const keeper = spawn(
    process.execPath,
    [
      ...['--import', tsx, fileURLToPath(new URL('postgres-keeper.ts', import.meta.url))],
      ...[folder, network ?? '', settings ? JSON.stringify(settings) : ''],
    ],
    // Detached: Ctrl-C reaches every process of the terminal's group, and the keeper must outlive this one.
    {
      detached: true,
      env: { ...process.env, ...((network || settings) && { DATABASE_URL: '' }) },
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  const exited = once(keeper, 'exit')
  const stop = async () => {
    keeper.stdin.end()
    await exited
  }

  const lines = createInterface({ input: keeper.stdout })
  const order = (command: string) => async () => {
    keeper.stdin.write(`${command}\n`)
    await once(lines, 'line')
  }
  const [url] = await Promise.race([once(lines, 'line') as Promise<[string]>, exited.then(() => [undefined])])
  if (url) return { url, prefix, folder, stop, crash: order('crash'), start: order('start') }
  throw new Error('PostgreSQL did not start: see the lines above. DATABASE_URL can name a server to use instead.')
}

/** What is done to a throwaway server; no other server takes it. Resolves when it is done. */
type Order = () => Promise<void>

/** Creates a database, as a copy of the run's database `template` where one is named, and returns its URL. */
export async function createDatabase(server: PostgresServer, options: { name?: string; template?: string } = {}) {
  const name = options.name ?? randomBytes(4).toString('hex')
  const template = options.template ? `TEMPLATE ${identifier(server, options.template)}` : ''
  await query(server.url, `CREATE DATABASE ${identifier(server, name)} ${template} ${await strategy(server.url)}`)
  return databaseUrl(server, name)
}

/** Half of the work on a server that writes nothing to disk; elsewhere it waits for two checkpoints. PostgreSQL 14 has no name for it. */
async function strategy(url: string): Promise<string> {
  const [row] = await query(
    url,
    `SELECT current_setting('fsync') = 'off' AND current_setting('server_version_num')::int >= 150000 AS is_faster`,
  )
  return row.is_faster ? 'STRATEGY file_copy' : ''
}

/** The URL of the run's database `name`, which need not be there yet. */
export function databaseUrl(server: PostgresServer, name: string) {
  const url = new URL(server.url)
  url.pathname = `/${server.prefix}_${name}`
  return url.href
}

/** Drops every database of the run. */
export async function dropDatabases({ url, prefix }: PostgresServer) {
  const databases = await query(url, 'SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [`${prefix}_`])
  for (const { datname } of databases) await query(url, `DROP DATABASE ${pg.escapeIdentifier(datname)} WITH (FORCE)`)
}

/**
 * Runs a statement. Those that follow each other within a moment share a connection: opening one costs far more than most statements, and
 * tests ask many times in a row. Several statements, which may leave settings, have a connection of their own.
 */
export async function query(url: string, sql: string, parameters: unknown[] = []) {
  const connection = await poolOf(url).connect()
  let isReusable = false
  try {
    const { rows } = await connection.query(sql, parameters)
    isReusable = !sql.includes(';')
    return rows
  } finally {
    connection.release(!isReusable)
  }
}

const pools = new Map<string, pg.Pool>()

/** The pool of a database: what asks it, or runs its jobs, again and again needs no new session each time. */
export function poolOf(connectionString: string): pg.Pool {
  const known = pools.get(connectionString)
  if (known) return known
  // Soon closed, so that the database can be copied or dropped; but not between two questions of `eventually`.
  const pool = new pg.Pool({ connectionString, max: 100, idleTimeoutMillis: 500, allowExitOnIdle: true })
  // Some tests end all connections of a database.
  pool.on('error', () => {})
  pools.set(connectionString, pool)
  return pool
}

function identifier(server: PostgresServer, name: string) {
  return pg.escapeIdentifier(`${server.prefix}_${name}`)
}
