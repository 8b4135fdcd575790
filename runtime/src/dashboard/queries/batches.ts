import type { AttemptClass } from '../../attempt/attempt.js'
import type { Batch, BatchCounts } from '../../attempt/batches/batch.js'
import type { AttemptStatus } from '../../attempt/row.js'
import { batchCallsStatement, batchesStatement, dependentsStatement, predecessorsStatement } from '../sql/batches.js'

/** An attempt as a list of related ones shows it. The call is null if the row was deleted. */
export interface RelatedAttempt {
  id: string
  target: string | null
  method: string | null
  status: AttemptStatus | null
}

/** How many related attempts are shown, and how many are counted. */
const SHOWN = 20
const COUNTED = 1001

/** How many calls of a batch its page shows. */
const CALLS = 100

/** What an attempt waits for, and what waits for it. */
export interface Dependencies {
  predecessors: RelatedAttempt[]
  dependents: RelatedAttempt[]
  /** How many wait, as far as they were counted. */
  dependentCount: number
}

export async function readDependencies({ db, store }: AttemptClass, id: bigint): Promise<Dependencies> {
  const [predecessors, dependents] = await Promise.all([
    db.query<RelatedAttempt>(predecessorsStatement(store.table), [id, SHOWN]),
    db.query<RelatedAttempt & { total: number }>(dependentsStatement(store.table), [id, COUNTED, SHOWN]),
  ])
  return { predecessors, dependents, dependentCount: dependents[0]?.total ?? 0 }
}

/** How many batches a page lists, and how many open calls of each are counted. */
const PAGE = 50
export const OPEN_COUNTED = 1001

/** A batch as the list of batches shows it. */
export interface ListedBatch {
  id: string
  thenId: string | null
  createdAt: Date
  cancelledAt: Date | null
  finishedAt: Date | null
  /** How many calls have not ended, at most `OPEN_COUNTED`. */
  open: number
  /** The call that follows; null if there is none, or if its row was deleted. */
  follows: { target: string; method: string; status: AttemptStatus } | null
}

/** The state of a batch in one word. */
export function batchState({ cancelledAt, finishedAt }: Pick<ListedBatch, 'cancelledAt' | 'finishedAt'>): string {
  return cancelledAt ? 'cancelled' : finishedAt ? 'finished' : 'running'
}

/**
 * The newest batches of a model.
 * @param after the id of the last batch of the page before
 */
export async function listBatches(
  { db, store, model }: AttemptClass,
  after: string | undefined,
): Promise<{ batches: ListedBatch[]; next: string | undefined }> {
  const found = await db.query<ListedBatch>(batchesStatement(store.table), [
    model,
    after ?? null,
    PAGE + 1,
    OPEN_COUNTED,
  ])
  const batches = found.slice(0, PAGE)
  return { batches, next: found.length > PAGE ? batches.at(-1)!.id : undefined }
}

/** A batch with its counts and some of its calls. */
export interface ShownBatch {
  batch: Batch
  counts: BatchCounts
  calls: RelatedAttempt[]
  following: RelatedAttempt | undefined
}

export async function readBatch(Attempt: AttemptClass, id: bigint): Promise<ShownBatch | undefined> {
  const batch = await Attempt.findBatch(id)
  if (!batch) return undefined
  const [counts, calls, following] = await Promise.all([
    batch.counts(),
    Attempt.db.query<RelatedAttempt>(batchCallsStatement(Attempt.store.table), [
      id.toString(),
      batch.thenId?.toString() ?? null,
      CALLS,
    ]),
    batch.thenId === null ? undefined : Attempt.store.find(batch.thenId),
  ])
  return { batch: batch as Batch, counts, calls, following: following && { ...following, id: String(following.id) } }
}
