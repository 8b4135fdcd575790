import type { Database } from '../core/database.js'
import { refreshToast } from '../toast/refresh.js'
import { toastsOf } from '../toast/registry.js'
import type { Toast } from '../toast/types.js'
import { requireArgument } from './arguments.js'

/** Refreshes a toast as the worker does. It does nothing if no refresh is due. */
export async function refreshNow<Parent>(
  db: Database,
  toast: Pick<Toast<Parent, unknown>, 'toastName' | 'keyOf'>,
  parent: Parent,
): Promise<void> {
  requireArgument('refreshNow', 'Database', db)
  requireArgument('refreshNow', 'toast', toast)
  await refreshToast(db, { name: toast.toastName, key: toast.keyOf(parent) })
}

/**
 * Makes every read compute a missing or stale value before it returns, so that specs need no worker:
 * `beforeAll(() => computeInline(db))`. An error of the computation is recorded, and the read returns as usual.
 */
export function computeInline(db: Database, inline = true): void {
  requireArgument('computeInline', 'Database', db)
  toastsOf(db).inline = inline
}
