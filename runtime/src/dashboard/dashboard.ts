import type { Database } from '../core/database.js'
import { accessOf } from './access.js'
import { ReadCache } from './cache.js'
import { type DashboardConnection, type DashboardOptions, type DashboardRole, settingsOf } from './options.js'
import { problemPage, refusal } from './respond.js'
import { route } from './routes.js'

/**
 * Answers the requests under `basePath`. It is a fetch handler: adapters make a Request of what other frameworks have.
 * @param connection the address of the client, for a dashboard without `authorize`
 */
export type DashboardHandler = (request: Request, connection?: DashboardConnection) => Promise<Response>

/**
 * A dashboard over the attempts, toasts, reports and workers of a database.
 *
 * @throws AsyncGenError NOT_AUTHORIZED without `authorize` in production; INVALID_OPTION, UNKNOWN_OPTION
 */
export function asyncDashboard(db: Database, options: DashboardOptions): DashboardHandler {
  const settings = settingsOf(options)
  const cache = new ReadCache()
  return async (request, connection = {}) => {
    let role: DashboardRole | undefined
    try {
      const access = await accessOf(settings, request, connection)
      if ('refused' in access) return refusal(settings, access.refused)
      role = access.role
      return await route({ db, settings, role, request, cache })
    } catch (error) {
      return problemPage(settings, error, role)
    }
  }
}
