import { AsyncLocalStorage } from 'node:async_hooks'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

interface WatchedTransaction {
  client: object
  ended: boolean
  /** For tests. `$transaction` resolves when they have run. */
  afterCommit: (() => Promise<void>)[]
  /** For tests: the error of another transaction of the client that opens in this one at a place of the host's code. */
  refusal?: (place: string) => Error
}

/** Clients that `$extends` creates inherit the method, and with it the watched client. */
type Transact = ((...args: unknown[]) => Promise<unknown>) & { [WATCHED]?: object }

// Global to the process: a development server evaluates modules again and keeps the PrismaClient.
const STORE = Symbol.for('async-gen:open-transactions')
const WATCHED: unique symbol = Symbol.for('async-gen:watched')
const shared = globalThis as { [STORE]?: AsyncLocalStorage<WatchedTransaction> }
const transactions = new WeakMap<object, WatchedTransaction>()

/** The method that runs transactions: `$transaction`, with Prisma 8 `transaction`. */
function methodOf(client: object): '$transaction' | 'transaction' {
  // A proxy that makes the client when it is first used answers only to reads.
  return typeof (client as { $transaction?: unknown }).$transaction === 'function' ? '$transaction' : 'transaction'
}

function transactOf(client: object): Transact {
  return (client as Record<string, Transact>)[methodOf(client)]!
}

/** Only a client of Prisma 8 has the method: its transactions cannot be nested. */
function isClient(self: object): boolean {
  return '$connect' in self || methodOf(self) === 'transaction'
}

/**
 * Makes the interactive transactions of a client known to `isTransactionOpen`, through a proxy of the method that runs them. For
 * development: a call that is recorded outside of an open transaction usually lacks its `{ tx }`.
 */
export function watchTransactions(client: object): void {
  if (transactOf(client)[WATCHED]) return
  shared[STORE] ??= new AsyncLocalStorage()
  const open = shared[STORE]
  const watched = new Proxy(transactOf(client), {
    get: (transact, property, receiver) => (property === WATCHED ? client : Reflect.get(transact, property, receiver)),
    apply: (transact, self, [run, ...options]: unknown[]) => {
      const outer = open.getStore()
      if (outer?.refusal && !outer.ended && outer.client === client && isClient(self)) {
        return Promise.reject(outer.refusal(hostPlace(new Error().stack)))
      }
      if (typeof run !== 'function') return Reflect.apply(transact, self, [run, ...options])
      const transaction: WatchedTransaction = { client, ended: false, afterCommit: [] }
      const runWatched = async (tx: object) => {
        transaction.afterCommit = []
        transactions.set(tx, transaction)
        try {
          return await open.run(transaction, () => run(tx))
        } finally {
          transaction.ended = true
        }
      }
      const committed = Reflect.apply(transact, self, [runWatched, ...options])
      return committed.then(async (result) => {
        for (const hook of transaction.afterCommit) await hook()
        return result
      })
    },
  })
  // Returns false for a frozen client, which stays unwatched.
  Reflect.set(client, methodOf(client), watched)
}

/** Whether the caller runs in the callback of an open transaction of the client. */
export function isTransactionOpen(client: object): boolean {
  const transaction = shared[STORE]?.getStore()
  return transaction !== undefined && transaction.client === transactOf(client)[WATCHED] && !transaction.ended
}

/**
 * Runs a function when a transaction has committed, before its `$transaction` resolves.
 * @returns whether the transaction is watched
 */
export function afterCommit(tx: object, hook: () => Promise<void>): boolean {
  const transaction = transactions.get(tx)
  transaction?.afterCommit.push(hook)
  return transaction !== undefined
}

/**
 * Has other transactions of the client reject that open in the callback of a transaction. For tests, whose transaction rolls back.
 * @param refusal makes the error from the place in the host's code
 */
export function refuseTransactionsWithin(tx: object, refusal: (place: string) => Error): void {
  const transaction = transactions.get(tx)
  if (transaction) transaction.refusal = refusal
}

const warned = new Set<string>()

/**
 * Warns, once for each place in the host's code, that something was done outside of the transaction that is open there.
 * @param action the beginning of the message: `A call was recorded`
 * @param isTest whether the transaction is that of a test, in which it happens nevertheless
 */
export function warnOfForgottenTransaction(action: string, isTest: boolean): void {
  const place = hostPlace(new Error().stack)
  if (warned.has(place)) return
  warned.add(place)
  process.emitWarning(
    isTest
      ? `${action} without { tx } at ${place}. In this test it belongs to the transaction of inRollback(). In production it happens ` +
          'even if a transaction that is open there rolls back. If there is one, pass it: { tx }.'
      : `${action} outside of the transaction that is open at ${place}. It happens even if that transaction rolls back. ` +
          'Pass the transaction: { tx }.',
    { code: 'FORGOTTEN_TRANSACTION' },
  )
}

/** The folder of this package's code, `src` or `dist`. */
const RUNTIME = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** The first frame of a stack that is not in this package. */
function hostPlace(stack = ''): string {
  const frame = stack
    .split('\n')
    .find((line) => /^ *at /.test(line) && !line.includes(RUNTIME) && !line.includes('node:'))
  return frame?.replace(/^.*\(|^ *at (?:async )?|\)$/g, '') ?? 'an unknown place'
}
