import type { Database } from '../core/database.js'
import { AsyncGenError } from '../core/errors.js'
import type { Statement } from '../core/statement.js'
import { sweptTables } from '../core/swept-table.js'
import { refreshToast } from '../toast/refresh.js'
import { toastsOf } from '../toast/registry.js'
import type { Toast } from '../toast/toast.js'

/** Refreshes a toast as the worker would: nothing happens where no refresh is due. */
export async function refreshNow<Parent>(
  db: Database,
  toast: Pick<Toast<Parent, unknown>, 'toastName' | 'keyOf'>,
  parent: Parent,
): Promise<void> {
  await refreshToast(db, { name: toast.toastName, key: toast.keyOf(parent) })
}

/**
 * Has every read compute what is missing or stale before it returns, as if a worker of infinite speed were there:
 * `beforeAll(() => computeInline(db))`. A computation that fails is recorded, and the read returns as it always does.
 */
export function computeInline(db: Database, inline = true): void {
  toastsOf(db).inline = inline
}

/**
 * Refuses to go on where a worker runs on the same database, since it would perform and refresh what your specs mean to:
 * `beforeAll(() => requireNoWorker(db))`.
 *
 * @throws AsyncGenError WORKER_RUNNING
 */
export async function requireNoWorker(db: Database): Promise<void> {
  const worker = (await db.workers())[0]
  if (!worker) return
  throw new AsyncGenError(
    'WORKER_RUNNING',
    `A worker runs on this database (process ${worker.pid} on ${worker.host}) and would take what these specs record. ` +
      'Stop it, or give the specs a database of their own: DATABASE_URL.',
  )
}

/**
 * Refuses to go on where the database looks like one that people use: `beforeAll(() => requireTestDatabase(db))`. Specs
 * write rows and remove them, so a development database will do. Refused are:
 *
 * - any database while `NODE_ENV` is `production`
 * - a database on another machine that holds work done more than an hour ago, unless its name contains `test`
 *
 * A database on this machine, or beside this one under a name without dots (Docker Compose), is nobody's production.
 *
 * @throws AsyncGenError NOT_A_TEST_DATABASE
 */
export async function requireTestDatabase(db: Database): Promise<void> {
  if (process.env.NODE_ENV === 'production') throw notForTests('NODE_ENV is "production".')
  const host = hostOf(db)
  if (isNear(host)) return
  const [database] = await db.query<{ name: string }>(nameOfDatabase, [])
  if (/test/i.test(database!.name)) return
  const tables = ['toasts', ...[...sweptTables(db)].flatMap(({ kind, table }) => (kind === 'attempts' ? [table] : []))]
  for (const table of tables) {
    const [found] = await db.query<{ used: boolean }>(holdsOlderWork(table), [])
    if (found?.used)
      throw notForTests(`The database ${database!.name} on ${host} holds work of more than an hour ago, in ${table}.`)
  }
}

function notForTests(why: string): AsyncGenError {
  return new AsyncGenError(
    'NOT_A_TEST_DATABASE',
    `These specs write to the database and may be run against one for tests or development only. ${why} ` +
      'Give them a database of their own in DATABASE_URL, whose name contains "test", or one on this machine.',
  )
}

function hostOf(db: Database): string {
  const { connectionString, host } = db.pool.options
  const named = connectionString && URL.canParse(connectionString) ? new URL(connectionString) : undefined
  return named?.searchParams.get('host') ?? named?.hostname ?? host ?? process.env.PGHOST ?? ''
}

/** Whether a host is this machine, a socket, or a name that only a private network knows. */
function isNear(host: string): boolean {
  return /^(127\..*|\[?::1\]?|\/.*|[^.:]*|host\.docker\.internal)$/.test(decodeURIComponent(host))
}

const nameOfDatabase: Statement = {
  name: 'async-gen:name-of-database',
  text: 'SELECT current_database() AS name',
}

/** Specs remove what they made, so that older work is somebody's. */
function holdsOlderWork(table: string): Statement {
  const done = table === 'toasts' ? 'cached_at' : 'completed_at'
  return {
    name: `async-gen:holds-older-work:${table}`,
    text: `SELECT EXISTS (SELECT FROM "${table}" WHERE ${done} < now() - interval '1 hour') AS used`,
  }
}
