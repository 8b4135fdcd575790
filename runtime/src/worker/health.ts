import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { AsyncGenError } from '../core/errors.js'

export interface Address {
  host: string
  port: number
}

/** The checks behind the endpoints. */
export interface Checks {
  /** Why the worker is not ready; undefined if it is. */
  unready(): Promise<string | undefined>
  /** In Prometheus' text format. */
  metrics(): Promise<string>
}

interface Answer {
  status: number
  body: string
  headers?: Record<string, string>
}

/** How long a check may take, in milliseconds: less than the usual three seconds of a probe. */
const CHECK_TIMEOUT = 2500

/** How long a client may take to send a request and to read the answer, in milliseconds. */
const CLIENT_TIMEOUT = 5000

const MAX_CONNECTIONS = 256

/**
 * Serves `/livez` (the process answers), `/readyz` (the worker takes jobs, has its session, and PostgreSQL answers) and `/metrics`.
 *
 * @returns the address, with the actual port for port 0, and a function that closes the server
 * @throws AsyncGenError HEALTH_NOT_SERVED if it cannot listen at the address
 */
export async function serveHealth({ host, port }: Address, checks: Checks): Promise<Address & { close(): void }> {
  const limits = {
    headersTimeout: CLIENT_TIMEOUT,
    requestTimeout: CLIENT_TIMEOUT,
    // How often Node checks the two timeouts. Its default is 30 seconds.
    connectionsCheckingInterval: 1000,
  }
  const limited = {
    unready: limitedCheck(() => checks.unready()),
    metrics: limitedCheck(() => checks.metrics()),
  }
  // Node itself answers invalid HTTP, with 400, 408 or 431.
  const server = createServer(limits, (request, response) => {
    answer(request, limited).then((found) => send(response, found))
  })
  // Closes idle connections, also those whose client does not read the answer.
  server.setTimeout(CLIENT_TIMEOUT)
  // More connections are closed at once, because the process needs file descriptors for PostgreSQL.
  server.maxConnections = MAX_CONNECTIONS
  server.listen(port, host)
  await once(server, 'listening').catch((error: Error) => {
    throw new AsyncGenError(
      'HEALTH_NOT_SERVED',
      `The health endpoints cannot listen at ${host}:${port}: ${error.message}. ` +
        'Choose another address with ASYNC_WORKER_HEALTH, --health or the option `health`.',
      { cause: error },
    )
  })
  server.on('error', ({ message }) => {
    process.emitWarning(`The health endpoints could not accept a connection: ${message}. The worker continues.`)
  })
  server.unref()
  return {
    host,
    port: (server.address() as AddressInfo).port,
    close() {
      server.close()
      // An incomplete request would keep the process alive.
      server.closeAllConnections()
    },
  }
}

/** Never rejects. */
async function answer(request: IncomingMessage, checks: Checks): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return { status: 405, body: 'Use GET or HEAD.\n', headers: { allow: 'GET, HEAD' } }
  const path = pathOf(request.url)
  if (path === undefined) return { status: 400, body: 'This request target is not a valid URL.\n' }
  try {
    if (path === '/livez') return { status: 200, body: 'ok\n' }
    if (path === '/readyz') {
      const reason = await checks.unready()
      return reason ? { status: 503, body: `${reason}\n` } : { status: 200, body: 'ok\n' }
    }
    if (path === '/metrics') {
      const headers = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }
      return { status: 200, body: await checks.metrics(), headers }
    }
  } catch (error) {
    return { status: 503, body: `${error instanceof Error ? error.message : String(error)}\n` }
  }
  return { status: 404, body: 'Not found. The endpoints are /livez, /readyz and /metrics.\n' }
}

/** Undefined for a request target that is not a valid URL, such as `//`. */
function pathOf(target = '/'): string | undefined {
  try {
    return new URL(target, 'http://worker').pathname
  } catch {
    return undefined
  }
}

function send(response: ServerResponse, { status, body, headers }: Answer): void {
  // One connection for each request, so that idle clients keep none open.
  const fixed = { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(body) }
  response.writeHead(status, { ...fixed, connection: 'close', ...headers }).end(body)
}

/** Adds a timeout to a check. Requests that arrive while it runs share its answer, so that many requests cost one query. */
function limitedCheck<T>(check: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  const run = async () => {
    const stop = new AbortController()
    const timeout = sleep(CHECK_TIMEOUT, undefined, { ref: false, signal: stop.signal }).then((): never => {
      throw new Error(`The check has not ended within ${CHECK_TIMEOUT / 1000} s.`)
    })
    try {
      return await Promise.race([check(), timeout])
    } finally {
      timeout.catch(() => {})
      stop.abort()
      running = undefined
    }
  }
  return () => (running ??= run())
}
