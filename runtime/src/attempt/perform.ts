import { describeError, PermanentError } from '../errors.js'
import { serialize } from '../serialize.js'
import type { AttemptRecord } from './attempt.js'
import type { Owner } from './content.js'
import { type Call, runCall } from './current.js'
import type { Run } from './store.js'
import type { AttemptClass } from './types.js'

/** How a run ended: with a result, with an error, or it was no longer this worker's to end. */
export type Outcome =
  | { kind: 'succeeded'; result: string }
  | { kind: 'failed'; error: unknown }
  | { kind: 'taken away' }

/**
 * Makes a claimed call and stores its success, in the call's own transaction where it asked for one. A run that was taken away
 * meanwhile (cancelled, or rescued from a worker that was thought dead) changes nothing, and its transaction rolls back.
 */
export async function perform(
  Attempt: AttemptClass,
  attempt: AttemptRecord,
  call: Call,
  run: Run,
  owner: Owner,
): Promise<Outcome> {
  const { store, content, targets } = Attempt
  try {
    const callable = (await targets()).resolve(attempt.target, attempt.method)
    const args = argumentsOf(attempt)
    const value = await runCall(call, () => callable(...args))
    const result = content.seal(serializeResult(value), owner, 'result')
    const transaction = await call.openedTransaction()
    if (!transaction) return (await store.succeed(run, result)) ? { kind: 'succeeded', result } : { kind: 'taken away' }

    if (await store.succeedWithin(transaction.tx as never, run, result)) {
      await transaction.commit()
      return { kind: 'succeeded', result }
    }
    await transaction.rollback()
    return { kind: 'taken away' }
  } catch (error) {
    const transaction = await call.openedTransaction().catch(() => undefined)
    await transaction?.rollback()
    return call.isCancelled ? { kind: 'taken away' } : { kind: 'failed', error }
  }
}

/** A row that was written by hand may hold anything; the text "no" is not the arguments "n" and "o". */
function argumentsOf({ args }: AttemptRecord): unknown[] {
  if (Array.isArray(args)) return args
  throw new PermanentError('The args of the row are no list, as the arguments of a call have to be: [1, "two"].')
}

/** A call that was made is never made again because its result cannot be kept. */
function serializeResult(value: unknown): string {
  try {
    return serialize(value, 'The result')
  } catch (error) {
    return serialize({ notStored: describeError(error).message })
  }
}
