import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../core/database.js'
import { type Duration, milliseconds } from '../core/duration.js'
import type { Query, Statement } from '../core/statement.js'
import { type SweptTable, sweptTables } from '../core/swept-table.js'

/** How long what is done is kept; `false` keeps it for ever. */
export interface Retention {
  /** Attempts that have succeeded. Their idempotence tokens go with them. Default: 7 days. */
  succeeded?: Duration | false
  /** Attempts that have failed, expired or been cancelled, with their errors. Default: 30 days. */
  ended?: Duration | false
}

/** The same with its defaults, in milliseconds. */
export interface KeepFor {
  succeeded: number | false
  ended: number | false
}

/** Of an attempt that goes on failing, so many errors are kept: the latest. */
const ERRORS_KEPT = 25

/** Rows in a statement: a backlog of millions goes in many of them, and never in one long transaction. */
const BATCH = 1000

/** How long to leave the database to others after each, in milliseconds. It still deletes more than can be made. */
const BREATH = 50

export function keepFor({ succeeded = '7 days', ended = '30 days' }: Retention): KeepFor {
  return {
    succeeded: succeeded !== false && milliseconds(succeeded),
    ended: ended !== false && milliseconds(ended),
  }
}

/**
 * Deletes finished attempts that are older than they need to be, and the older errors of those that go on failing. Workers that
 * do it at the same time share the work.
 *
 * @param stop ends it early
 * @returns how many rows were deleted
 */
export async function prune(db: Database, { succeeded, ended }: KeepFor, stop?: AbortSignal): Promise<number> {
  const inBatches = (statement: Statement, values: unknown[]) => allBatches(db.query, statement, values, stop)
  let deleted = 0
  for (const { table } of [...sweptTables(db)].filter(({ kind }: SweptTable) => kind === 'attempts')) {
    if (succeeded !== false) deleted += await inBatches(deleteFinished(table), [['succeeded'], succeeded])
    if (ended !== false) deleted += await inBatches(deleteFinished(table), [['failed', 'expired', 'cancelled'], ended])
    await inBatches(trimErrors(table), [ERRORS_KEPT])
  }
  return deleted
}

async function allBatches(query: Query, statement: Statement, values: unknown[], stop?: AbortSignal): Promise<number> {
  let total = 0
  while (!stop?.aborted) {
    const rows = await query(statement, [...values, BATCH])
    total += rows.length
    if (rows.length < BATCH) break
    await sleep(BREATH)
  }
  return total
}

const deleteFinished = (table: string): Statement => ({
  name: `${table}:delete-finished`,
  text: `
    DELETE FROM "${table}" WHERE id IN (
      SELECT id FROM "${table}"
      WHERE completed_at < now() - $2 * interval '1 millisecond' AND status::text = ANY ($1::text[])
      ORDER BY completed_at
      LIMIT $3
      FOR UPDATE SKIP LOCKED
    )
    RETURNING id`,
})

const trimErrors = (table: string): Statement => ({
  name: `${table}:trim-errors`,
  text: `
    UPDATE "${table}" SET errors = jsonb_path_query_array(errors, 'strict $[last - $kept to last]', jsonb_build_object('kept', $1::int - 1))
    WHERE id IN (
      SELECT id FROM "${table}"
      WHERE status = 'pending' AND num_attempts > $1
        AND CASE WHEN jsonb_typeof(errors) = 'array' THEN jsonb_array_length(errors) > $1 END
      LIMIT $2
      FOR UPDATE SKIP LOCKED
    )
    RETURNING id`,
})
