import { AsyncLocalStorage } from 'node:async_hooks'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

interface WatchedTransaction {
  client: object
  ended: boolean
}

/** With the client that is watched: those that `$extends` makes of it have its method. */
type Transact = ((...args: unknown[]) => Promise<unknown>) & { [WATCHED]?: object }

// One for the process: a development server evaluates modules again, while the PrismaClient stays.
const STORE = Symbol.for('async-gen:open-transactions')
const WATCHED: unique symbol = Symbol.for('async-gen:watched')
const shared = globalThis as { [STORE]?: AsyncLocalStorage<WatchedTransaction> }

/**
 * Has `isTransactionOpen` know of the interactive transactions of a client, through a proxy of its `$transaction`. For development:
 * there, a call that is recorded beside an open transaction is usually a forgotten `{ tx }`.
 */
export function watchTransactions(client: { $transaction: Transact }): void {
  if (client.$transaction[WATCHED]) return
  shared[STORE] ??= new AsyncLocalStorage()
  const open = shared[STORE]
  const watched = new Proxy(client.$transaction, {
    get: (transact, property, receiver) => (property === WATCHED ? client : Reflect.get(transact, property, receiver)),
    apply: (transact, self, [run, ...options]: unknown[]) => {
      if (typeof run !== 'function') return Reflect.apply(transact, self, [run, ...options])
      const transaction: WatchedTransaction = { client, ended: false }
      const runWatched = async (tx: unknown) => {
        try {
          return await open.run(transaction, () => run(tx))
        } finally {
          transaction.ended = true
        }
      }
      return Reflect.apply(transact, self, [runWatched, ...options])
    },
  })
  // One that cannot be changed is left as it is.
  Reflect.set(client, '$transaction', watched)
}

/** Whether this is called in the callback of a transaction of the client that is still open. */
export function isTransactionOpen(client: { $transaction: Transact }): boolean {
  const transaction = shared[STORE]?.getStore()
  return transaction !== undefined && transaction.client === client.$transaction[WATCHED] && !transaction.ended
}

const warned = new Set<string>()

/** Warns, once for each place in the host's code, of something that was done beside the transaction that is open there. */
export function warnOfForgottenTransaction(what: string): void {
  const place = hostPlace(new Error().stack)
  if (warned.has(place)) return
  warned.add(place)
  process.emitWarning(
    `${what} outside of the transaction that is open here, so it happens even if that rolls back. ` +
      `Pass the transaction: { tx }. At ${place}.`,
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
  return frame?.replace(/^.*\(|^ *at (?:async )?|\)$/g, '') ?? 'a place that is not known'
}
