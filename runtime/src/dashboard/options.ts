import type { AttemptClass } from '../attempt/attempt.js'
import { AsyncGenError } from '../core/errors.js'
import { refuseUnknownOptions } from '../core/known-options.js'
import type { ReportClass } from '../report/report.js'
import type { DashboardAction } from './actions/action.js'

/** What a user may see and do. */
export interface DashboardRole {
  /** The name of the user, for `onAction` and the page. */
  user?: string | undefined
  /** Whether encrypted arguments, results and errors are shown. Default: false. */
  decrypt?: boolean | undefined
  /** Whether the user may only look. Default: false. */
  readOnly?: boolean | undefined
}

/** What the server knows of the connection, and a Request does not have. */
export interface DashboardConnection {
  /** The address of the client: `socket.remoteAddress`. */
  remoteAddress?: string | undefined
}

type Authorization = boolean | DashboardRole | Response | null | undefined

export interface DashboardOptions {
  /** The classes of attempts, each with a page of its own. A subclass shows its own attempts only. */
  attempts: readonly AttemptClass[]
  /** The classes of reports. Default: none, and the page of reports is not shown. */
  reports?: readonly ReportClass[] | undefined
  /**
   * Decides who may use the dashboard, for each request. `false` refuses it. A Response is sent as it is, such as a redirect to your login.
   * `true`, or an object, lets the user act. Without this function, only requests from this machine are served, and none in production.
   */
  authorize?: ((request: Request) => Authorization | Promise<Authorization>) | undefined
  /** The path under which the host mounts the dashboard. Default: `/async`. */
  basePath?: string | undefined
  /** Called after each action. If it throws, or takes longer than 10 s, the user sees that the action was not recorded. */
  onAction?: ((action: DashboardAction) => void | Promise<void>) | undefined
  /** Who may show the dashboard in a frame, as in the header Content-Security-Policy: `["'self'", 'https://admin.example']`. Default: nobody. */
  frameAncestors?: readonly string[] | undefined
  /** The URL of a trace in your tracing tool, for a link on the page of an attempt. */
  traceUrl?: ((traceId: string) => string) | undefined
}

/** Options that were checked, with defaults. */
export interface DashboardSettings extends DashboardOptions {
  reports: readonly ReportClass[]
  /** Without a slash at its end; empty for the root. */
  basePath: string
  frameAncestors: readonly string[]
}

const KNOWN = ['attempts', 'reports', 'authorize', 'basePath', 'onAction', 'frameAncestors', 'traceUrl']

/** @throws AsyncGenError NOT_AUTHORIZED, INVALID_OPTION, UNKNOWN_OPTION */
export function settingsOf(options: DashboardOptions): DashboardSettings {
  refuseUnknownOptions('asyncDashboard', options, KNOWN)
  const { attempts, reports = [], authorize, basePath = '/async', frameAncestors = [] } = options
  if (authorize === undefined && process.env.NODE_ENV === 'production') {
    throw new AsyncGenError(
      'NOT_AUTHORIZED',
      'asyncDashboard needs the option `authorize` in production: without it, everybody could see and change your attempts.',
    )
  }
  if (!Array.isArray(attempts)) throw invalid('attempts', 'an array of classes of attempts')
  if (!/^(\/[\w.~-]+)*\/?$/.test(basePath)) throw invalid('basePath', 'a path such as /async')
  if (frameAncestors.some((source) => !/^[\w:/.*'-]+$/.test(source)))
    throw invalid('frameAncestors', "sources of a Content-Security-Policy, such as 'self' or https://admin.example")
  return { ...options, reports, basePath: basePath.replace(/\/$/, ''), frameAncestors }
}

function invalid(option: string, allowed: string): AsyncGenError {
  return new AsyncGenError('INVALID_OPTION', `asyncDashboard: the option ${option} must be ${allowed}.`)
}
