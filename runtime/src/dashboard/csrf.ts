import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { DashboardSettings } from './options.js'
import { PageError } from './page.js'

// A form has the token of a cookie, which a page of another site can neither read nor set. The origin is checked too, because a page on a
// subdomain could set the cookie.

const COOKIE = 'async-gen-csrf'

/** The token for the forms of a page, and the headers that set its cookie. */
export function csrfToken(
  { basePath }: DashboardSettings,
  request: Request,
): { token: string; headers: Record<string, string> } {
  const known = cookieOf(request)
  if (known) return { token: known, headers: {} }
  const token = randomBytes(24).toString('base64url')
  const isSecure = new URL(request.url).protocol === 'https:' || request.headers.get('x-forwarded-proto') === 'https'
  const attributes = `Path=${basePath || '/'}; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`
  return { token, headers: { 'set-cookie': `${COOKIE}=${token}; ${attributes}` } }
}

/** @throws PageError 403 for a form that a page of the dashboard has not sent */
export function requireOwnForm(request: Request, token: string | null): void {
  const known = cookieOf(request)
  if (isSameOrigin(request) && known && token && equals(known, token)) return
  throw new PageError(
    403,
    'This form was not sent by a page of the dashboard, or your browser has deleted its cookie. Go back, reload the page, and try again.',
  )
}

function isSameOrigin({ headers, url }: Request): boolean {
  const site = headers.get('sec-fetch-site')
  if (site !== null) return site === 'same-origin'
  const origin = headers.get('origin')
  if (origin === null || !URL.canParse(origin)) return false
  // Behind a proxy, the URL may have another protocol than the browser has.
  return new URL(origin).host === (headers.get('host') ?? new URL(url).host)
}

function cookieOf({ headers }: Request): string | undefined {
  const pairs = (headers.get('cookie') ?? '').split(';').map((pair) => pair.trim().split('='))
  const [, value] = pairs.find(([name]) => name === COOKIE) ?? []
  return value !== undefined && /^[\w-]{32}$/.test(value) ? value : undefined
}

function equals(...texts: [string, string]): boolean {
  const [one, other] = texts.map((text) => Buffer.from(text)) as [Buffer, Buffer]
  // Compared in bytes: of two texts with as many characters, one may have more bytes.
  return one.length === other.length && timingSafeEqual(one, other)
}
