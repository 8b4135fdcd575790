import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

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

/**
 * Serves `/livez` (this process answers: it need not be restarted), `/readyz` (it is at work, with its session held and PostgreSQL
 * answering) and `/metrics`.
 *
 * @returns where it listens, which matters with port 0, and what ends it
 */
export async function serveHealth({ host, port }: Address, checks: Checks): Promise<Address & { close(): void }> {
  const server = createServer((request, response) => {
    answer(new URL(request.url ?? '/', 'http://worker').pathname, response, checks).catch((error: Error) => {
      end(response, 503, `${error.message}\n`)
    })
  })
  server.listen(port, host)
  await once(server, 'listening')
  server.unref()
  return { host, port: (server.address() as AddressInfo).port, close: () => void server.close() }
}

async function answer(path: string, response: ServerResponse, checks: Checks): Promise<void> {
  if (path === '/livez') return end(response, 200, 'ok\n')
  if (path === '/readyz') {
    const reason = await checks.unready()
    return reason ? end(response, 503, `${reason}\n`) : end(response, 200, 'ok\n')
  }
  if (path === '/metrics') return end(response, 200, await checks.metrics(), 'text/plain; version=0.0.4; charset=utf-8')
  return end(response, 404, 'There is /livez, /readyz and /metrics.\n')
}

function end(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type }).end(body)
}
