import type { TransactionLike } from '../../core/prisma/client.js'
import type { BoundClass } from '../binding.js'
import { debounceKey, type NewAttempt } from '../row.js'
import type { DebouncedRow } from '../store.js'

/** How often a call is tried whose waiting row has begun to run, or was inserted by another transaction, at that moment. */
const TRIES = 20

/**
 * Records calls of which some are debounced or unique. Returns a row for each, in the same order: undefined for all if the transaction has
 * ended. Calls without encrypted arguments take one statement. The others take one each, after a look for the row that waits.
 */
export async function insertDebounced(
  Attempt: Pick<BoundClass, 'store' | 'content'>,
  attempts: readonly NewAttempt[],
  tx: TransactionLike | undefined,
): Promise<(DebouncedRow | undefined)[]> {
  const kept = onePerKey(attempts)
  const [encrypted, plain] = [kept.filter(isEncrypted), kept.filter((attempt) => !isEncrypted(attempt))]
  const rows = new Map<NewAttempt, DebouncedRow | undefined>()
  const inserted = plain.length === 0 ? [] : await Attempt.store.insertDebounced(plain, tx)
  for (const [i, attempt] of plain.entries()) rows.set(attempt, inserted[i])
  for (const attempt of encrypted) rows.set(attempt, await insertEncrypted(Attempt, attempt, tx))
  const byKey = new Map(kept.flatMap((attempt) => (attempt.debounce ? [[keyOf(attempt), attempt]] : [])))
  return attempts.map((attempt) => {
    if (rows.has(attempt)) return rows.get(attempt)
    const row = rows.get(byKey.get(keyOf(attempt))!)
    return row && { ...row, wasWaiting: true }
  })
}

async function insertEncrypted(
  { store, content }: Pick<BoundClass, 'store' | 'content'>,
  attempt: NewAttempt,
  tx: TransactionLike | undefined,
): Promise<DebouncedRow | undefined> {
  const sealedFor = (id: bigint) => content.seal(attempt.args, { ...attempt, id }, 'args')
  for (let tries = 0; tries < TRIES; tries++) {
    const waiting = await store.findWaiting(attempt, tx)
    const [id] = (await store.reserveIds(1, tx)) as [bigint]
    const sealed = { ...attempt, id: id.toString(), args: sealedFor(id) }
    const args = waiting === null ? null : sealedFor(waiting)
    const [row] = await store.insertDebounced([sealed], tx, { id: waiting, args })
    if (row) return row
  }
  return undefined
}

/** PostgreSQL changes a row only once for each statement. The newest debounced call counts, and the first unique one. */
function onePerKey(attempts: readonly NewAttempt[]): NewAttempt[] {
  const kept = new Map<unknown, NewAttempt>()
  for (const attempt of attempts) {
    const key = attempt.debounce ? keyOf(attempt) : attempt
    if (!kept.has(key) || attempt.debounce?.wait !== undefined) kept.set(key, attempt)
  }
  return [...kept.values()]
}

function isEncrypted({ debounce, encryptor }: NewAttempt): boolean {
  return debounce !== undefined && encryptor !== null
}

function keyOf({ target, method, debounce }: NewAttempt): string {
  return debounceKey(target, method, debounce!.key)
}
