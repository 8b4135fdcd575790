import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../core/database.js'
import { TimeoutError } from '../core/errors.js'
import type { OpenTransaction } from '../core/prisma/transaction.js'
import type { CurrentCall, RunControl } from './current.js'
import { trackLingering } from './lingering.js'

/** How long a run whose time limit is over waits for the rollback of its transaction, in milliseconds. */
const ROLLBACK_TIMEOUT = 1000

/** A rollback waits for the statement that runs. After so many milliseconds, the statement is cancelled. */
const CANCEL_AFTER = 100

/** How often the statement is cancelled, once a second. */
const CANCELS = 60

/**
 * Runs a call until it settles or the time limit of its run is over. A call that ignores its signal then goes on, without its transaction.
 * @throws TimeoutError, and what the call throws
 */
export async function withinTimeLimit<Result>(
  db: Database,
  { attempt: { id, target, method } }: CurrentCall,
  control: RunControl,
  limit: number,
  run: () => Promise<Result>,
): Promise<Result> {
  const { left } = control
  const error = new TimeoutError(
    limit > 0
      ? `The run took longer than its time limit of ${limit / 1000} s.`
      : `The time limit of the run is ${limit} ms, which leaves no time. Correct the column timeout_ms.`,
  )
  if (left <= 0) {
    control.timeOut(error)
    throw error
  }
  const working = run()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      trackLingering(db, { id, name: `${target}.${method}` }, working)
      reject(error)
      control.timeOut(error)
    }, left)
  })
  try {
    return await Promise.race([working, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Rolls back the transaction of a call that may still use it. It goes on in the background if that takes more than a second. In a test
 * whose transaction rolls back, the end of the run is stored on the same connection, so it waits.
 */
export async function rollbackSoon(db: Database, call: CurrentCall): Promise<void> {
  const ended = call.end().then((transaction) => transaction && rollback(transaction))
  const rolledBack = ended.catch(() => {})
  if (db.transactionOfTest) return await rolledBack
  await Promise.race([rolledBack, sleep(ROLLBACK_TIMEOUT, undefined, { ref: false })])
}

async function rollback(transaction: OpenTransaction<unknown>): Promise<void> {
  let isRolledBack = false
  const rolledBack = transaction.rollback().finally(() => {
    isRolledBack = true
  })
  for (let i = 0; i < CANCELS; i++) {
    await Promise.race([rolledBack, sleep(i === 0 ? CANCEL_AFTER : 1000, undefined, { ref: false })])
    if (isRolledBack) return
    await transaction.cancelStatement().catch(() => {})
  }
  await rolledBack
}
