import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { AsyncGenError } from '../core/errors.js'

export interface Address {
  host: string
  port: number
}

/** What a worker answers to those who watch over it. */
export interface Checks {
  /** Why it should get no work at the moment; nothing where it is ready. */
  unready(): Promise<string | undefined>
  /** In Prometheus' text format. */
  metrics(): Promise<string>
}

interface Answer {
  status: number
  body: string
  headers?: Record<string, string>
}

/** How long a check may take, in milliseconds: less than the three seconds that a probe usually waits. */
const CHECK_TIMEOUT = 2500

/** How long a client may take to send a request and to read the answer, in milliseconds. */
const CLIENT_TIMEOUT = 5000

const MAX_CONNECTIONS = 256

/**
 * Serves `/livez` (this process answers: it need not be restarted), `/readyz` (it is at work, with its session held and PostgreSQL
 * answering) and `/metrics`.
 *
 * @returns where it listens, which matters with port 0, and what ends it
 * @throws AsyncGenError HEALTH_NOT_SERVED where it cannot listen there
 */
export async function serveHealth({ host, port }: Address, checks: Checks): Promise<Address & { close(): void }> {
  const limits = {
    headersTimeout: CLIENT_TIMEOUT,
    requestTimeout: CLIENT_TIMEOUT,
    // Node looks for requests that take too long this often; by itself, every 30 seconds.
    connectionsCheckingInterval: 1000,
  }
  const limited = {
    unready: limitedCheck(() => checks.unready()),
    metrics: limitedCheck(() => checks.metrics()),
  }
  // What is no HTTP never gets here: Node answers it with 400, 408 or 431.
  const server = createServer(limits, (request, response) => {
    answer(request, limited).then((found) => send(response, found))
  })
  // Closes connections on which nothing happens, those included whose client does not read the answer.
  server.setTimeout(CLIENT_TIMEOUT)
  // Connections beyond that are closed at once: the process needs its file descriptors for PostgreSQL.
  server.maxConnections = MAX_CONNECTIONS
  server.listen(port, host)
  await once(server, 'listening').catch((error: Error) => {
    throw new AsyncGenError(
      'HEALTH_NOT_SERVED',
      `The health endpoints cannot be served at ${host}:${port}: ${error.message}. ` +
        'Choose another address with ASYNC_WORKER_HEALTH, --health or the option `health`.',
      { cause: error },
    )
  })
  server.on('error', ({ message }) => {
    process.emitWarning(`The health endpoints could not take a connection: ${message}. The worker goes on.`)
  })
  server.unref()
  return {
    host,
    port: (server.address() as AddressInfo).port,
    close() {
      server.close()
      // A request that is only half sent would keep the process alive.
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
  return { status: 404, body: 'There is /livez, /readyz and /metrics.\n' }
}

/** Undefined for a target that is no URL, such as `//`. */
function pathOf(target = '/'): string | undefined {
  try {
    return new URL(target, 'http://worker').pathname
  } catch {
    return undefined
  }
}

function send(response: ServerResponse, { status, body, headers }: Answer): void {
  // A connection for each request, so that none is kept open by a client that has nothing more to ask.
  const fixed = { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(body) }
  response.writeHead(status, { ...fixed, connection: 'close', ...headers }).end(body)
}

/** A check that fails when it takes too long. Requests that come while it runs wait for the same answer, so that many cost one query. */
function limitedCheck<T>(check: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  const run = async () => {
    const stop = new AbortController()
    const timeout = sleep(CHECK_TIMEOUT, undefined, { ref: false, signal: stop.signal }).then((): never => {
      throw new Error(`This check has not ended within ${CHECK_TIMEOUT / 1000} s.`)
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
