import type { VNode } from 'preact'
import { renderToString } from 'preact-render-to-string'
import { isAsyncGenError } from '../core/errors.js'
import { Problem } from './components/problem.js'
import { securityHeaders } from './headers.js'
import type { DashboardRole, DashboardSettings } from './options.js'
import { PageError } from './page.js'

export function htmlResponse(
  settings: DashboardSettings,
  page: VNode,
  { status = 200, headers = {} }: { status?: number; headers?: Record<string, string> } = {},
): Response {
  const html = `<!doctype html>${renderToString(page)}`
  return new Response(html, {
    status,
    headers: { ...securityHeaders(settings), 'content-type': 'text/html; charset=utf-8', ...headers },
  })
}

/** After an action, so that a reload of the page does not do it again. */
export function seeOther(settings: DashboardSettings, location: string): Response {
  return new Response(null, { status: 303, headers: { ...securityHeaders(settings), location } })
}

/** The response to somebody who may not use the dashboard. */
export function refusal(settings: DashboardSettings, refused: Response | string): Response {
  return typeof refused === 'string' ? problem(settings, 403, 'Not allowed', refused) : refused
}

/**
 * The response to an error. Errors of the host's code and of the database may hold secrets, so only the log has their text.
 * @param role undefined where the error comes from `authorize`
 */
export function problemPage(settings: DashboardSettings, error: unknown, role: DashboardRole | undefined): Response {
  if (error instanceof PageError) return problem(settings, error.status, titleOf(error.status), error.message, role)
  if (role && isAsyncGenError(error) && USER_ERRORS.includes(error.code))
    return problem(settings, 400, titleOf(400), error.message, role)
  if (role && isInvalidValue(error))
    return problem(settings, 400, titleOf(400), 'A value of the filter does not fit its column.', role)
  console.error('The dashboard of async-gen could not answer a request:', error)
  const hint = role && isAsyncGenError(error) ? error.remedy : 'The log of the server says why.'
  return problem(settings, 500, 'Something went wrong', hint, role)
}

/** Class 22 of SQLSTATE: PostgreSQL cannot read a text as a value of the type. */
function isInvalidValue(error: unknown): boolean {
  return /^22...$/.test(String(Object(error).code))
}

/** Codes of errors that come from what the user has entered. */
const USER_ERRORS: readonly string[] = [
  'INVALID_OPTION',
  'INVALID_DURATION',
  'INVALID_ID',
  'INVALID_STATE',
  'UNKNOWN_TARGET',
]

function titleOf(status: PageError['status']): string {
  return {
    400: 'Not valid',
    403: 'Not allowed',
    404: 'Not found',
    405: 'Not allowed',
    413: 'Too large',
  }[status]
}

function problem(
  settings: DashboardSettings,
  status: number,
  title: string,
  message: string,
  role?: DashboardRole | undefined,
): Response {
  const page = <Problem settings={settings} role={role} title={title} message={message} />
  return htmlResponse(settings, page, { status })
}
