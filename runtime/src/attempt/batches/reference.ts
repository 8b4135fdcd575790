import { AsyncGenError } from '../../core/errors.js'
import { type RowId, rowIdOf } from '../../core/row-id.js'
import type { Query } from '../../core/statement.js'
import type { BoundClass } from '../binding.js'
import type { BatchReference } from '../calls.js'
import type { NewAttempt } from '../row.js'

/**
 * The id that `batch` stands for, as an option of a call or in a filter.
 * @param what where it was given, for messages
 * @throws AsyncGenError INVALID_OPTION, INVALID_ID
 */
export function batchIdOf({ model }: BoundClass, batch: BatchReference | RowId, what: string): string {
  if (typeof batch !== 'object' || batch === null) return String(rowIdOf(batch, what))
  if (batch.model === model) return String(batch.id)
  throw new AsyncGenError(
    'INVALID_OPTION',
    `${what} is ${batch.model === undefined ? 'an object' : `a batch of ${batch.model}`}. It must be a batch of ${model}, or its id.`,
  )
}

/**
 * Otherwise the insert would fail, and the transaction with it.
 * @throws AsyncGenError BATCH_GONE, BATCH_FINISHED
 */
export async function requireOpenBatches(
  { store, model }: BoundClass,
  calls: readonly NewAttempt[],
  query: Query,
): Promise<void> {
  const ids = new Set(calls.flatMap(({ batchId }) => batchId ?? []))
  for (const id of ids) {
    const row = await store.batches.find(BigInt(id), query)
    if (!row) throw new AsyncGenError('BATCH_GONE', `There is no batch ${id} of ${model}.`)
    if (row.finishedAt === null && row.cancelledAt === null) continue
    const why = row.cancelledAt === null ? 'has finished' : 'has been cancelled'
    throw new AsyncGenError('BATCH_FINISHED', `Batch ${id} of ${model} ${why}, and gets no more calls.`)
  }
}
