import { AsyncGenError } from '../../core/errors.js'
import type { AnyCall, WithinTransaction } from '../calls.js'
import { type Recorded, recordCalls } from '../recording.js'
import { Batch, type BatchClass } from './batch.js'

interface RecordedBatch {
  batch: Batch
  /** Its calls, in the order given, then the call that follows. */
  recorded: Recorded[]
}

/**
 * Records a batch and its calls with one statement.
 * @throws AsyncGenError INVALID_OPTION; and what `recordCalls` throws
 */
export async function recordBatch(
  Attempt: BatchClass,
  calls: readonly AnyCall[],
  then: AnyCall | undefined,
  tx: WithinTransaction['tx'],
): Promise<RecordedBatch> {
  for (const call of calls) refuse(Attempt, call, 'batch', 'a call of a new batch')
  if (then) refuse(Attempt, then, 'batch', 'then')
  if (then) refuse(Attempt, then, 'after', 'then')
  const { batches } = Attempt.store
  const query = Attempt.store.queryIn(tx)
  const ids = await batches.reserveIds(query)
  const thenId = then && ids.following
  const recorded = await recordCalls(Attempt, then ? [...calls, then] : calls, tx, {
    id: ids.batch,
    thenId,
    isEmpty: calls.length === 0,
  })
  // Calls that existed already are not in the batch. Calls whose predecessor has failed are cancelled already.
  const open = recorded.filter(
    ({ row, duplicate }) => !duplicate && String(row.id) !== thenId && row.completed_at === null,
  )
  if (open.length === 0 && calls.length > 0) await batches.finish(ids.batch, query)
  const id = BigInt(ids.batch)
  return { batch: new Batch(Attempt, id, await batches.find(id, query)), recorded }
}

function refuse({ name }: BatchClass, call: AnyCall, option: 'after' | 'batch', what: string): void {
  if (call[option] === undefined) return
  throw new AsyncGenError('INVALID_OPTION', `${name}.batch: ${what} cannot have the option ${option}.`)
}
