import type { Database } from './database.js'
import { AsyncGenError } from './errors.js'
import { livingWorkersOf } from './presence.js'
import { refreshToast } from './toast/refresh.js'
import { toastsOf } from './toast/registry.js'
import type { Toast } from './toast/toast.js'

/** Refreshes a toast as the worker would: nothing happens where no refresh is due. */
export async function refreshNow<Parent>(
  db: Database,
  toast: Pick<Toast<Parent, unknown>, 'toastName' | 'keyOf'>,
  parent: Parent,
): Promise<void> {
  await refreshToast(db, { name: toast.toastName, key: toast.keyOf(parent) })
}

/**
 * Has every read compute what is missing or stale before it returns, as if a worker of infinite speed were there:
 * `beforeAll(() => computeInline(db))`. A computation that fails is recorded, and the read returns as it always does.
 */
export function computeInline(db: Database, inline = true): void {
  toastsOf(db).inline = inline
}

/**
 * Refuses to go on where a worker runs on the same database, since it would perform and refresh what your specs mean to:
 * `beforeAll(() => requireNoWorker(db))`.
 *
 * @throws AsyncGenError WORKER_RUNNING
 */
export async function requireNoWorker(db: Database): Promise<void> {
  const worker = (await livingWorkersOf(db)).find(({ poolId }) => poolId !== null)
  if (!worker) return
  throw new AsyncGenError(
    'WORKER_RUNNING',
    `A worker runs on this database (process ${worker.pid} on ${worker.host}) and would take what these specs record. ` +
      'Stop it, or give the specs a database of their own: DATABASE_URL.',
  )
}
