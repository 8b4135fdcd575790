import type { Database } from '../core/database.js'
import type { ReadCache } from './cache.js'
import type { DashboardRole, DashboardSettings } from './options.js'

/** What a page is made from. */
export interface PageContext {
  db: Database
  settings: DashboardSettings
  role: DashboardRole
  request: Request
  cache: ReadCache
  url: URL
  /** The parts of the path under `basePath`, decoded. */
  path: readonly string[]
}

/** A page that is sent with another status than 200. */
export class PageError extends Error {
  readonly status: 400 | 403 | 404 | 405 | 413
  constructor(status: PageError['status'], message: string) {
    super(message)
    this.status = status
  }
}
