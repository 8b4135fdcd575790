import { connectedDatabases, type Database } from '../core/database.js'
import { type Duration, milliseconds } from '../core/duration.js'
import { AsyncGenError } from '../core/errors.js'
import type { OneOf, PrismaClientLike, TransactionOf } from '../core/prisma/client.js'
import { refuseTransactionsWithin } from '../core/prisma/open-transactions.js'
import { ormOf } from '../core/prisma/orm-of.js'
import type { Statement } from '../core/statement.js'
import { sweptTables } from '../core/swept-table.js'
import { requireArgument } from './arguments.js'
import { requireAwaited } from './awaited.js'
import { contextsOf } from './database-context.js'

export interface RollbackOptions {
  /** How long the function may take. Default: 1 minute. */
  timeout?: Duration
}

/**
 * Runs a function in a transaction, rolls that back, and returns what the function returned. Inside, all that the runtime does happens in the
 * transaction: recorded calls, `drain`, `perform`, `attempt.reload()`, reads of toasts.
 *
 *     await inRollback(prisma, async (tx) => {
 *       await checkout(tx, order)
 *       await expectAttempt(Attempt).toHaveRecorded(OrderClient, 'fulfill')
 *       await drain(db)
 *     })
 *
 * Not isolated is what does not go through `tx` or the runtime: code that uses the PrismaClient itself has connections of its own. It does
 * not see the rows of the transaction, and what it writes stays.
 *
 * @param prisma the PrismaClient that `connect` got, or one that was extended from it or from which it was extended
 * @throws what the function throws, after the rollback; AsyncGenError DATABASE_AMBIGUOUS; INVALID_OPTION; NOT_AWAITED if it ends while a
 * function of the test kit still runs. Inside, another `$transaction` of the client rejects with OUTSIDE_ROLLBACK, because it would commit.
 */
export async function inRollback<Client extends PrismaClientLike, Result>(
  prisma: Client,
  run: (tx: TransactionOf<OneOf<Client>>) => Promise<Result>,
  { timeout = '1 minute' }: RollbackOptions = {},
): Promise<Result> {
  requireArgument('inRollback', 'PrismaClient', prisma)
  requireArgument('inRollback', 'function', run)
  const databases = databasesOf(prisma)
  const rolledBack = new RolledBack<Result>()
  const limit = milliseconds(timeout, 'timeout')
  for (const db of databases) await registerTasks(db)
  try {
    await ormOf(prisma).transaction(async (tx) => {
      refuseTransactionsWithin(tx, otherTransaction)
      rolledBack.result = await within(databases, tx as never, () => requireAwaited(() => run(tx as never)))
      throw rolledBack
    }, limit)
  } catch (error) {
    if (error !== rolledBack) throw error
  }
  return rolledBack.result as Result
}

function otherTransaction(place: string): Error {
  return new AsyncGenError(
    'OUTSIDE_ROLLBACK',
    `${place} opens a transaction of the PrismaClient inside of inRollback(). It would commit, and its rows would stay. ` +
      'Pass `tx` to this code, or test it without inRollback(), with testDatabase().',
  )
}

const registered = new WeakSet<Database>()

/**
 * Graphile Worker inserts a row for each name of a task when a first job is added. In a transaction that rolls back it is inserted each
 * time, and tests at the same time would wait for each other. So the names are registered before.
 */
async function registerTasks(db: Database): Promise<void> {
  if (registered.has(db)) return
  registered.add(db)
  const tasks = [...sweptTables(db)].flatMap((table) => [...table.tasks])
  // Without Graphile Worker's tables, or without rights to them, no job is added either.
  await db.query(registerTaskNames, [tasks]).catch(() => {})
}

const registerTaskNames: Statement = {
  name: 'async-gen:register-tasks',
  text: `
    SELECT (graphile_worker.remove_job((graphile_worker.add_job(task, job_key => 'async-gen:register:' || task)).key)).id
    FROM unnest($1::text[]) AS task`,
}

/** Thrown to roll back. */
class RolledBack<Result> extends Error {
  result: Result | undefined
}

async function within<Result>(databases: Database[], tx: never, run: () => Promise<Result>): Promise<Result> {
  const [first, ...others] = databases
  return first ? await contextsOf(first).runWithin(tx, () => within(others, tx, run)) : await run()
}

/** The Databases that use the PrismaClient. A test with a client of its own uses the only one that there is. */
function databasesOf(prisma: object): Database[] {
  const connected = connectedDatabases()
  const same = connected.filter((db) => db.isOf(prisma))
  if (same.length > 0 || connected.length < 2) return same.length > 0 ? same : connected
  throw new AsyncGenError(
    'DATABASE_AMBIGUOUS',
    `This process has connected ${connected.length} PrismaClients with the runtime, and inRollback() got another one. Pass one of those.`,
  )
}
