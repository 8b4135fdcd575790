import type { Task } from 'graphile-worker'
import type { Database } from '../core/database.js'
import { instrumentsItself } from '../telemetry/instrument.js'
import { refreshToast } from './refresh.js'
import type { ToastId } from './store.js'

/** The Graphile Worker task that refreshes one toast; its payload is `{ name, key }`. A failed computation is recorded, not thrown. */
export function refreshToastTask(db: Database): Task {
  return instrumentsItself<Task>(async (payload, { logger, abortSignal }) => {
    const id = payload as ToastId
    const outcome = await refreshToast(db, id, abortSignal)
    logger.debug(`toast ${id.name} ${id.key}: ${outcome}`)
  })
}
