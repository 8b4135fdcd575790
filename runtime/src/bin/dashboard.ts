import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { AsyncGenError } from '../core/errors.js'
import { isLocal } from '../dashboard/access.js'
import { asyncDashboard, type DashboardOptions } from '../dashboard/index.js'
import { toNodeHandler } from '../http/index.js'
import { classesBeside, hostDatabase, reportsBeside } from './attempts/classes.js'
import { using } from './database-errors.js'
import type { Flags } from './flags.js'
import type { CommandResult } from './result.js'
import { UsageError } from './usage.js'

const DEFAULT_PORT = '9395'

/** Only this machine can connect. The dashboard also refuses requests that name another host, as a page of another site can send. */
const HOST = '127.0.0.1'

const BASE_PATH = '/async'

/**
 * Serves the dashboard on this machine until SIGINT or SIGTERM.
 *
 * @param say prints a line at once
 * @throws AsyncGenError NOT_AUTHORIZED in production, DASHBOARD_NOT_SERVED, NO_DATABASE, NO_WORKER_MODULE
 */
export async function serveDashboard(
  module: string | undefined,
  flags: Flags,
  say: (line: string) => void,
): Promise<CommandResult> {
  const port = portOf(flags)
  if (process.env.NODE_ENV === 'production') {
    throw new AsyncGenError(
      'NOT_AUTHORIZED',
      'async-gen-worker dashboard is for development, and NODE_ENV is "production". Mount the dashboard in your application, where ' +
        '`authorize` says who may use it: npx async-gen dashboard',
    )
  }
  const db = await hostDatabase(module)
  return await using(db, async () => {
    const attempts = [...(await classesBeside(module)).values()]
    const handler = asyncDashboard(db, {
      attempts,
      reports: await reportsBeside(module),
      authorize: flags.decrypt ? decrypting : undefined,
      basePath: BASE_PATH,
    })
    const server = createServer(toNodeHandler(withStartPage(handler)))
    await listen(server, port)
    const stopped = stopSignal()
    say(`The dashboard: http://${HOST}:${(server.address() as AddressInfo).port}${BASE_PATH}`)
    say('Only this machine can open it. Press Ctrl-C to stop it.')
    const signal = await stopped
    server.close()
    return { lines: [`The dashboard has stopped: it got the signal ${signal}.`], json: { signal } }
  })
}

/** The server listens on this machine only. A page of another site can still send requests, under a name of its own. */
const decrypting: DashboardOptions['authorize'] = (request) => isLocal(request, {}) && { decrypt: true }

type Handler = ReturnType<typeof asyncDashboard>

/** Leads from the root, which a user may type, to the dashboard. */
function withStartPage(handler: Handler): Handler {
  return async (request, connection) =>
    new URL(request.url).pathname === '/'
      ? new Response(null, { status: 302, headers: { location: BASE_PATH } })
      : await handler(request, connection)
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, HOST)
  await once(server, 'listening').catch((error: Error) => {
    throw new AsyncGenError(
      'DASHBOARD_NOT_SERVED',
      `The dashboard cannot listen at ${HOST}:${port}: ${error.message}. Choose another port: --port ${port + 1}`,
      { cause: error },
    )
  })
}

async function stopSignal(): Promise<NodeJS.Signals> {
  return await new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(signal))
  })
}

function portOf({ port = DEFAULT_PORT }: Flags): number {
  if (/^\d{1,5}$/.test(port) && Number(port) <= 65_535) return Number(port)
  throw new UsageError(`--port is ${JSON.stringify(port)}. It must be a whole number from 0 (any free port) to 65535.`)
}
