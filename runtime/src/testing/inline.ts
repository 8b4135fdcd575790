import { AsyncLocalStorage } from 'node:async_hooks'
import type { AttemptClass, AttemptRecord } from '../attempt/attempt.js'
import { AsyncGenError } from '../core/errors.js'
import { afterCommit } from '../core/prisma/open-transactions.js'
import { requireArgument } from './arguments.js'
import { run } from './run.js'

/** How deep calls may record calls that run inline. */
const MAX_DEPTH = 100

/** A call that runs inline, and those in which it was recorded. */
interface Nesting {
  depth: number
  /** Of the outermost call: why the calls were stopped. */
  stopped: { error?: AsyncGenError }
}

const nestings = new AsyncLocalStorage<Nesting>()

/** The methods that inline has replaced. */
const originals = new WeakMap<AttemptClass, PropertyDescriptor | undefined>()

/**
 * Runs each call as soon as it is recorded, as if a worker had been faster than the test: `beforeAll(() => inline(Attempt))`. A call that
 * is recorded in a transaction runs after the commit, before `$transaction` resolves. A call without one runs before `async()` resolves.
 * Errors are recorded, as a worker would. Calls for later, paused calls, and rows that are written by other means wait for `drain`.
 *
 * @param on false: calls wait for a worker again
 */
export function inline(Attempt: AttemptClass, on = true): void {
  requireArgument('inline', 'class', Attempt)
  if (on === originals.has(Attempt)) return
  if (on) {
    originals.set(Attempt, Object.getOwnPropertyDescriptor(Attempt, 'createMany'))
    const { createMany } = Attempt
    const value = async function (this: AttemptClass, calls: never, within: { tx?: object } = {}) {
      const attempts = (await createMany.call(this, calls, within as never)) as AttemptRecord[]
      await runSoon(
        attempts.filter(({ duplicate }) => !duplicate),
        within.tx,
      )
      return attempts
    }
    Object.defineProperty(Attempt, 'createMany', { value, configurable: true, writable: true })
    return
  }
  const original = originals.get(Attempt)
  originals.delete(Attempt)
  if (original) Object.defineProperty(Attempt, 'createMany', original)
  else Reflect.deleteProperty(Attempt, 'createMany')
}

async function runSoon(attempts: AttemptRecord[], tx: object | undefined): Promise<void> {
  const runAll = async () => {
    for (const attempt of attempts) await runInline(attempt)
  }
  if (!tx) await runAll()
  else if (!afterCommit(tx, runAll)) {
    throw new AsyncGenError(
      'TRANSACTION_NOT_WATCHED',
      'inline(Attempt) cannot see when this transaction commits, because the PrismaClient that `connect` got did not open it. ' +
        'Open it with that client, or run the call with drain(db).',
    )
  }
}

/** @throws AsyncGenError DRAIN_LIMIT out of the outermost call: in the others it would only be recorded */
async function runInline(attempt: AttemptRecord): Promise<void> {
  const outer = nestings.getStore()
  const { depth, stopped }: Nesting = { depth: (outer?.depth ?? 0) + 1, stopped: outer?.stopped ?? {} }
  if (depth > MAX_DEPTH) {
    stopped.error = new AsyncGenError(
      'DRAIN_LIMIT',
      `inline(Attempt) has run ${MAX_DEPTH} calls, each within the one that recorded it. ` +
        `Does ${attempt.target}.${attempt.method} record itself again?`,
    )
    return
  }
  await nestings.run({ depth, stopped }, () => run(attempt))
  if (depth === 1 && stopped.error) throw stopped.error
}
