import type { Database } from '../core/database.js'
import { AsyncGenError, isAsyncGenError } from '../core/errors.js'
import { refreshDue } from '../toast/refresh.js'
import { toastsOf } from '../toast/registry.js'
import type { Toast } from '../toast/types.js'
import { requireArgument } from './arguments.js'
import { tracked } from './awaited.js'

/**
 * Refreshes a toast as the worker does, whether or not a refresh was requested. An error of the computation is recorded, as the worker
 * would.
 *
 * @throws AsyncGenError INVALID_OPTION; CALL_NOT_RUN if another process computes the toast; OUTSIDE_ROLLBACK if `load` does not see a record
 * that `inRollback` has created
 */
export async function refreshNow<Parent>(
  db: Database,
  toast: Pick<Toast<Parent, unknown>, 'toastName' | 'keyOf' | 'expire'>,
  parent: Parent,
): Promise<void> {
  requireArgument('refreshNow', 'Database', db)
  requireArgument('refreshNow', 'toast', toast)
  await tracked('refreshNow()', () => refresh(db, toast, parent))
}

async function refresh<Parent>(
  db: Database,
  toast: Pick<Toast<Parent, unknown>, 'toastName' | 'keyOf' | 'expire'>,
  parent: Parent,
): Promise<void> {
  const id = { name: toast.toastName, key: toast.keyOf(parent) }
  let result = await refreshDue(db, id)
  if (result.outcome === 'nothing to do') {
    await toast.expire(parent)
    result = await refreshDue(db, id)
  }
  if (isAsyncGenError(result.error) && result.error.code === 'OUTSIDE_ROLLBACK') throw result.error
  if (result.outcome !== 'nothing to do') return
  throw new AsyncGenError(
    'CALL_NOT_RUN',
    `refreshNow() could not refresh ${id.name} of ${id.key}: another run computes it, or another transaction has locked its row.`,
  )
}

/**
 * Makes every read compute a missing or stale value before it returns, so that specs need no worker:
 * `beforeAll(() => computeInline(db))`. An error of the computation is recorded, and the read returns as usual.
 */
export function computeInline(db: Database, inline = true): void {
  requireArgument('computeInline', 'Database', db)
  toastsOf(db).inline = inline
}
