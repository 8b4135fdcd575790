import { setTimeout as sleep } from 'node:timers/promises'
import type { Query, Statement } from '../core/statement.js'
import type { RetentionPeriods } from '../core/swept-table.js'
import type { BatchStore } from './batches/store.js'
import { deleteFinished, type FinishedStatus, RETENTION_BATCH, trimErrors } from './sql/maintenance.js'

/** The pause between two batches, in milliseconds, so that other statements get their turn. */
const PAUSE_BETWEEN_BATCHES = 50

/** How many errors a pending attempt keeps: the latest ones. */
const MAX_ERRORS = 25

/**
 * Deletes finished attempts after their retention period, batches that have none left, and the oldest errors of pending attempts. Returns
 * how many attempts were deleted.
 */
export async function pruneAttempts(
  query: Query,
  { table, batches }: { table: string; batches: BatchStore },
  { succeeded, ended }: RetentionPeriods,
  stop?: AbortSignal,
): Promise<number> {
  const inBatches = (statement: Statement, values: unknown[]) => runInBatches(query, statement, values, stop)
  const periods = { succeeded, failed: ended, expired: ended, cancelled: ended }
  let deleted = 0
  for (const [status, period] of Object.entries(periods) as [FinishedStatus, number | false][]) {
    if (period !== false) deleted += await inBatches(deleteFinished(table, status), [period])
  }
  if (ended !== false) await inBatches(...batches.pruning(ended))
  await inBatches(trimErrors(table), [MAX_ERRORS])
  return deleted
}

async function runInBatches(
  query: Query,
  statement: Statement,
  values: unknown[],
  stop?: AbortSignal,
): Promise<number> {
  let total = 0
  while (!stop?.aborted) {
    const rows = await query(statement, values)
    total += rows.length
    if (rows.length < RETENTION_BATCH) break
    await sleep(PAUSE_BETWEEN_BATCHES)
  }
  return total
}
