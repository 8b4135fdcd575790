import type { AttemptClass } from './attempt/attempt.js'
import type { Database } from './database.js'
import { keyOf } from './toast/key.js'
import { refreshToast } from './toast/tasks.js'
import type { Toast } from './toast/toast.js'

/** Performs an attempt as the worker would: nothing happens where it is not pending, not due, or gone. */
export async function performNow<Class extends AttemptClass>(
  Attempt: Class,
  id: bigint,
): Promise<InstanceType<Class> | null> {
  return await Attempt.perform(id)
}

/** Refreshes a toast as the worker would: nothing happens where no refresh is due. */
export async function refreshNow<Parent>(
  db: Database,
  toast: Pick<Toast<Parent, unknown>, 'toastName' | 'expire'>,
  parent: Parent,
): Promise<void> {
  await refreshToast(db, { name: toast.toastName, key: keyOf(toast.toastName, parent) })
}
