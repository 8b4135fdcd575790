import { type RowId, rowIdOf } from '../../core/row-id.js'
import { Batch, type BatchClass } from './batch.js'

/** @throws AsyncGenError INVALID_ID */
export async function findBatch(Attempt: BatchClass, id: RowId): Promise<Batch | null> {
  const given = rowIdOf(id, `${Attempt.name}.findBatch`)
  const row = await Attempt.store.batches.find(given)
  return row ? new Batch(Attempt, given, row) : null
}
