import type { Database } from '../core/database.js'
import { AsyncGenError } from '../core/errors.js'
import type { Statement } from '../core/statement.js'
import { type SweptTable, sweptTables } from '../core/swept-table.js'
import { toastsOf } from '../toast/registry.js'
import { requireArgument } from './arguments.js'

/**
 * Throws if a worker runs on the same database, because it would process the rows of your specs:
 * `beforeAll(() => requireNoWorker(db))`.
 *
 * @throws AsyncGenError WORKER_RUNNING
 */
export async function requireNoWorker(db: Database): Promise<void> {
  requireArgument('requireNoWorker', 'Database', db)
  const worker = (await db.workers())[0]
  if (!worker) return
  throw new AsyncGenError(
    'WORKER_RUNNING',
    `A worker runs on this database (process ${worker.pid} on ${worker.host}) and would process the rows of these specs. ` +
      'Stop it, or set DATABASE_URL to a database for the specs alone.',
  )
}

/**
 * Throws if the database may be in production use: `beforeAll(() => requireTestDatabase(db))`. Specs create rows and delete them, so a
 * development database is fine. Refused are:
 *
 * - any database if `NODE_ENV` is `production`
 * - a database on another machine that holds work of more than an hour ago, unless its name contains `test`
 *
 * A database on this machine, or on a host whose name has no dots (Docker Compose), is accepted.
 *
 * @throws AsyncGenError NOT_A_TEST_DATABASE
 */
export async function requireTestDatabase(db: Database): Promise<void> {
  requireArgument('requireTestDatabase', 'Database', db)
  if (process.env.NODE_ENV === 'production') throw inProduction('Specs write to the database.')
  const host = hostOf(db)
  if (isNear(host)) return
  const [database] = await db.query<{ name: string }>(nameOfDatabase, [])
  if (/test/i.test(database!.name)) return
  for (const table of new Set([toastsOf(db).table, ...sweptTables(db)])) {
    const [found] = await db.query<{ used: boolean }>(hasOlderWork(table), [])
    if (found?.used)
      throw notForTests(
        `The table ${table.table} of the database ${database!.name} on ${host} holds work of more than an hour ago.`,
      )
  }
}

export function inProduction(what: string): AsyncGenError {
  return new AsyncGenError(
    'NOT_A_TEST_DATABASE',
    `NODE_ENV is "production". ${what} Unset NODE_ENV, or set it to "test".`,
  )
}

function notForTests(why: string): AsyncGenError {
  return new AsyncGenError(
    'NOT_A_TEST_DATABASE',
    `These specs write to the database, so they need one for tests or development. ${why} ` +
      'Set DATABASE_URL to a database whose name contains "test", or to one on this machine.',
  )
}

function hostOf(db: Database): string {
  const { connectionString, host } = db.pool.options
  const named = connectionString && URL.canParse(connectionString) ? new URL(connectionString) : undefined
  return named?.searchParams.get('host') ?? named?.hostname ?? host ?? process.env.PGHOST ?? ''
}

/** Whether a host is this machine, a socket, or a name of a private network. */
function isNear(host: string): boolean {
  return /^(127\..*|\[?::1\]?|\/.*|[^.:]*|host\.docker\.internal)$/.test(decodeURIComponent(host))
}

const nameOfDatabase: Statement = {
  name: 'async-gen:name-of-database',
  text: 'SELECT current_database()::text AS name',
}

/** Specs delete the rows that they create, so older rows belong to another program. */
function hasOlderWork({ table, finishedColumn }: SweptTable): Statement {
  return {
    name: `async-gen:has-older-work:${table}`,
    text: `SELECT EXISTS (SELECT FROM "${table}" WHERE ${finishedColumn} < now() - interval '1 hour') AS used`,
  }
}
