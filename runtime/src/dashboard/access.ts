import { AsyncGenError } from '../core/errors.js'
import { isResponse, isRights } from '../core/response.js'
import type { DashboardConnection, DashboardRole, DashboardSettings } from './options.js'

/** Who sends the request, or the response that refuses it. */
export type Access = { role: DashboardRole } | { refused: Response | string }

/** Asks the host. Without `authorize`, only requests from this machine are served. */
export async function accessOf(
  { authorize }: DashboardSettings,
  request: Request,
  connection: DashboardConnection,
): Promise<Access> {
  if (!authorize) {
    return isLocal(request, connection)
      ? { role: {} }
      : { refused: 'Without the option `authorize`, the dashboard only serves requests from this machine.' }
  }
  const answer = await authorize(request)
  if (isResponse(answer)) return { refused: answer }
  if (answer === true) return { role: {} }
  // A function that returns nothing refuses.
  if (!isRights(answer)) return { refused: 'You may not use this dashboard.' }
  if (answer.user === undefined || answer.user === null || typeof answer.user === 'string') return { role: answer }
  throw new AsyncGenError(
    'INVALID_OPTION',
    `asyncDashboard: authorize returned { user } of type ${typeof answer.user}. It must be the name of the user, a string.`,
  )
}

/**
 * Whether the request comes from this machine, as far as the connection is known. The name of the host is compared too, because a page of another site can send requests to
 * this machine under a name of its own. A proxy forwards requests of others.
 */
export function isLocal(request: Request, { remoteAddress }: DashboardConnection): boolean {
  if (remoteAddress !== undefined && !isLoopback(remoteAddress)) return false
  if ([...request.headers.keys()].some(isOfProxy)) return false
  const named = request.headers.get('host')
  const { hostname } = new URL(request.url)
  return isLoopback(hostname) && (named === null || isLoopback(hostnameOf(named)))
}

/** Names of headers that proxies and tunnels add. `Headers` has them in lower case. */
function isOfProxy(header: string): boolean {
  return header.startsWith('x-forwarded-') || OF_PROXIES.includes(header)
}

const OF_PROXIES = [
  'forwarded',
  'via',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-original-forwarded-for',
  'true-client-ip',
  'cf-connecting-ip',
  'fastly-client-ip',
  'fly-client-ip',
]

function hostnameOf(host: string): string {
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : ''
}

function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').replace(/^::ffff:/, '')
  return name === 'localhost' || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name)
}
