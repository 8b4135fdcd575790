import { once } from 'node:events'
import { createServer } from 'node:net'

/** A port of this machine that nobody listens to. Another process may take it before its first use. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address ? address.port : 0
}
