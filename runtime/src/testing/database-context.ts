import { AsyncLocalStorage } from 'node:async_hooks'
import type { Database } from '../core/database.js'
import type { TransactionLike } from '../core/prisma/client.js'
import { type BackendTransaction, cancelStatement, identifyTransaction } from '../core/prisma/transaction.js'
import type { Query, Statement } from '../core/statement.js'

/** Where and when the statements of a Database run, in one asynchronous context of a test. */
interface Context {
  /** The transaction in which they run, in place of the runtime's own pool. */
  tx: TransactionLike | undefined
  /** How far this context is ahead of the clock of the database, in milliseconds. */
  ahead: number
  query: Query
}

/** A clock that a test moves. */
export interface MovedClock {
  /** How far it is ahead of the Date of this process, in milliseconds. */
  offset: number
  /** How far that Date is ahead of the real time, in milliseconds: not at all, unless a test runner has replaced it. */
  driftOfDate(): number
}

/**
 * What the test kit changes in a Database: it can run statements in an open transaction, and it can move their clock. It replaces methods
 * of the object when a test first needs that, so production code does not know about it.
 */
export class DatabaseContexts {
  readonly #contexts = new AsyncLocalStorage<Context>()
  readonly #originalWithin: Database['within']
  readonly #originalTransaction: Database['transaction']
  readonly #originalOpen: Database['openTransaction']
  readonly #originalNow: Database['now']
  readonly #query: Query
  #savepoints = 0
  /** The test clock, once a test has asked for it. */
  clock: MovedClock | undefined

  constructor(db: Database) {
    this.#originalWithin = db.within.bind(db)
    this.#originalTransaction = db.transaction.bind(db)
    this.#originalOpen = db.openTransaction.bind(db)
    this.#originalNow = db.now.bind(db)
    const { query } = db
    this.#query = (statement, values) => query(this.#atClock(statement), values)
    // The same function within one context, so that only statements of the same context are batched.
    Object.defineProperty(db, 'query', { get: () => this.#contexts.getStore()?.query ?? this.#query })
    Object.defineProperty(db, 'transactionOfTest', { get: () => this.#contexts.getStore()?.tx })
    db.within = (tx) => this.#within(tx)
    db.transaction = (run) => this.#transaction(run)
    db.openTransaction = (options) => this.#open(options)
    db.now = () => this.#originalNow() + this.#ahead
  }

  /** Runs a function so that all statements of the runtime in it run in a transaction. */
  async runWithin<Result>(tx: TransactionLike, run: () => Promise<Result>): Promise<Result> {
    const query = this.#originalWithin(tx)
    if (this.#contexts.getStore()?.tx === tx) return await run()
    const readsTimes = await useUtc(query)
    try {
      return await this.#contexts.run(this.#contextOf(tx, this.#contexts.getStore()?.ahead ?? 0), run)
    } finally {
      await readsTimes.restore()
    }
  }

  /**
   * Runs a function with a clock that it can move.
   * @param run its argument moves the clock forwards by so many milliseconds, until the function ends
   */
  async runAhead<Result>(run: (advance: (by: number) => void) => Promise<Result>): Promise<Result> {
    const outer = this.#contexts.getStore()
    const context = this.#contextOf(outer?.tx, outer?.ahead ?? 0)
    return await this.#contexts.run(context, () =>
      run((by) => {
        context.ahead += by
      }),
    )
  }

  /** How far the clock is ahead of the Date of this process, in milliseconds. */
  get #ahead(): number {
    return (this.clock?.offset ?? 0) + (this.#contexts.getStore()?.ahead ?? 0)
  }

  #contextOf(tx: TransactionLike | undefined, ahead: number): Context {
    const query: Query = tx ? this.#statementsIn(tx) : (statement, values) => this.#query(statement, values)
    return { tx, ahead, query }
  }

  /** The runtime's own statements in a transaction. Alone, each of them would be a transaction, whose `now()` is its own time. */
  #statementsIn(tx: TransactionLike): Query {
    const query = this.#within(tx)
    return (statement, values) =>
      query({ ...statement, text: statement.text.replaceAll(/\bnow\(\)/g, 'statement_timestamp()') }, values)
  }

  #within(tx: TransactionLike): Query {
    const query = this.#originalWithin(tx)
    return (statement, values) => query(this.#atClock(statement), values)
  }

  /** In an open transaction, a savepoint takes the place of a transaction. */
  async #transaction<Result>(run: (query: Query) => Promise<Result>): Promise<Result> {
    const { tx } = this.#contexts.getStore() ?? {}
    if (!tx)
      return await this.#originalTransaction((query) => run((each, values) => query(this.#atClock(each), values)))
    const { commit, rollback } = await this.#openSavepoint(tx)
    try {
      const result = await run(this.#statementsIn(tx))
      await commit()
      return result
    } catch (error) {
      await rollback()
      throw error
    }
  }

  async #open(options: { cancellable: boolean }): ReturnType<Database['openTransaction']> {
    const { tx } = this.#contexts.getStore() ?? {}
    if (!tx) return await this.#originalOpen(options)
    const opened = await this.#openSavepoint(tx)
    if (!options.cancellable) return opened
    const [backend] = await this.#within(tx)<BackendTransaction>(identifyTransaction, [])
    const values = [backend!.pid, backend!.started]
    return { ...opened, cancelStatement: async () => void (await this.#query(cancelStatement, values)) }
  }

  async #openSavepoint(tx: TransactionLike): ReturnType<Database['openTransaction']> {
    const name = `async_gen_${++this.#savepoints}`
    const query = this.#originalWithin(tx)
    const run = async (text: string) => void (await query({ name: 'async-gen:savepoint', text }, []))
    await run(`SAVEPOINT ${name}`)
    const release = () => run(`RELEASE SAVEPOINT ${name}`)
    const rollback = async () => {
      await run(`ROLLBACK TO SAVEPOINT ${name}`)
      // A call whose time limit is over may send one more statement. If that fails, it has aborted the transaction again. Once is enough:
      // two calls that run at the same time in one transaction would roll back each other for ever.
      await release().catch(() => run(`ROLLBACK TO SAVEPOINT ${name}`))
    }
    return { tx, commit: release, rollback, cancelStatement: async () => {} }
  }

  /** The statement, with the clock of this context. It is not prepared: a connection would keep one for each time. */
  #atClock(statement: Statement): Statement {
    const ahead = Math.round(this.#ahead + (this.clock?.driftOfDate() ?? 0))
    if (ahead === 0) return statement
    const text = statement.text.replace(CLOCKS, `($& + ${ahead} * interval '1 millisecond')`)
    return { ...statement, text, planned: 'each time' }
  }
}

/** The functions with which the runtime's statements read the clock of the database. */
const CLOCKS = /\b(?:now|clock_timestamp|statement_timestamp)\(\)/g

/**
 * Prisma's driver adapter misreads times where TimeZone is not UTC or DateStyle is not ISO. The runtime's statements that were written for
 * its own pool depend on both.
 */
async function useUtc(query: Query): Promise<{ restore(): Promise<void> }> {
  const [before] = await query<{ zone: string; style: string }>(readTimeSettings, [])
  if (before!.zone === 'UTC' && before!.style.startsWith('ISO')) return { restore: async () => {} }
  await query(setTimeSettings, ['UTC', 'ISO, MDY'])
  return {
    // A transaction that has failed cannot run the statement, and does not need it.
    restore: async () => void (await query(setTimeSettings, [before!.zone, before!.style]).then(null, () => {})),
  }
}

const readTimeSettings: Statement = {
  name: 'async-gen:read-time-settings',
  text: `SELECT current_setting('TimeZone') AS zone, current_setting('DateStyle') AS style`,
}

const setTimeSettings: Statement = {
  name: 'async-gen:set-time-settings',
  text: `SELECT set_config('TimeZone', $1, true), set_config('DateStyle', $2, true)`,
}

const known = new WeakMap<Database, DatabaseContexts>()

/** The contexts of a Database. The first call replaces its methods. */
export function contextsOf(db: Database): DatabaseContexts {
  let contexts = known.get(db)
  if (!contexts) {
    contexts = new DatabaseContexts(db)
    known.set(db, contexts)
  }
  return contexts
}

/** Runs a function in a transaction, if there is one. */
export async function withinOptional<Result>(
  db: Database,
  tx: TransactionLike | undefined,
  run: () => Promise<Result>,
): Promise<Result> {
  return tx ? await contextsOf(db).runWithin(tx, run) : await run()
}
