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

/** The methods that inline replaces. */
const REPLACED = ['createMany', 'batch'] as const

/** What it has replaced, in the same order. */
const originals = new WeakMap<AttemptClass, (PropertyDescriptor | undefined)[]>()

/**
 * Runs each call as soon as it is recorded, as if a worker had been faster than the test: `beforeAll(() => inline(Attempt))`. A call that
 * is recorded in a transaction runs after the commit, before `$transaction` resolves. A call without one runs before `async()` resolves.
 * Calls that become free run too: those that waited for it, and the one that follows a batch. Errors are recorded, as a worker would. Calls
 * for later, paused calls, and rows that are written by other means wait for `drain`.
 *
 * @param on false: calls wait for a worker again
 */
export function inline(Attempt: AttemptClass, on = true): void {
  requireArgument('inline', 'class', Attempt)
  if (on === originals.has(Attempt)) return
  if (on) {
    originals.set(
      Attempt,
      REPLACED.map((method) => Object.getOwnPropertyDescriptor(Attempt, method)),
    )
    replace(Attempt)
    return
  }
  const descriptors = originals.get(Attempt)
  originals.delete(Attempt)
  for (const [i, method] of REPLACED.entries()) {
    const original = descriptors?.[i]
    if (original) Object.defineProperty(Attempt, method, original)
    else Reflect.deleteProperty(Attempt, method)
  }
}

function replace(Attempt: AttemptClass): void {
  const { createMany, batch } = Attempt
  const replacements = {
    async createMany(this: AttemptClass, calls: never, within: { tx?: object } = {}) {
      const attempts = (await createMany.call(this, calls, within as never)) as AttemptRecord[]
      await runSoon(async () => attempts.filter(({ duplicate }) => !duplicate), within.tx)
      return attempts
    },
    async batch(this: AttemptClass, calls: never, options: { tx?: object } = {}) {
      const recorded = await batch.call(this, calls, options as never)
      await runSoon(async () => {
        const all = await this.where({ batch: recorded }, { limit: Number.MAX_SAFE_INTEGER })
        const following = recorded.thenId === null ? null : await this.find(recorded.thenId)
        return [...all.reverse(), ...(following ? [following] : [])]
      }, options.tx)
      return recorded
    },
  }
  for (const method of REPLACED)
    Object.defineProperty(Attempt, method, { value: replacements[method], configurable: true, writable: true })
}

async function runSoon(recorded: () => Promise<AttemptRecord[]>, tx: object | undefined): Promise<void> {
  const runAll = async () => {
    const waiting = await recorded()
    for (let attempt = waiting.shift(); attempt; attempt = waiting.shift()) {
      await runInline(attempt)
      waiting.push(...(await freedBy(attempt)))
    }
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

/** The calls that were blocked until this one ended. */
async function freedBy(attempt: AttemptRecord): Promise<AttemptRecord[]> {
  if (!attempt.isFinished) return []
  const Attempt = attempt.constructor as AttemptClass
  const batch = attempt.batchId === null ? null : await Attempt.findBatch(attempt.batchId)
  const following = batch?.isFinished && batch.thenId !== null ? await Attempt.find(batch.thenId) : null
  const free = [...(await attempt.dependents()), ...(following ? [following] : [])]
  return free.filter(({ isPending }) => isPending)
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
