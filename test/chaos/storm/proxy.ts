import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Stands between the workers and PostgreSQL. */
export interface SilentProxy {
  /** The same database, through the proxy. */
  url: string
  /**
   * From now on no open connection passes a byte, and the workers' ends stay open.
   * @param options `all`: new ones do not pass a byte either. `closed`: PostgreSQL's ends close, as in a failover
   */
  fallSilent(options?: { all?: boolean; closed?: boolean }): void
  /** New connections pass again. Those that fell silent stay so. */
  recover(): void
  close(): void
}

export async function startProxy(target: string): Promise<SilentProxy> {
  const wires: [Socket, Socket][] = []
  let dead = false
  const { hostname, port } = new URL(target)
  const server = createServer((worker) => {
    const postgres = connect(Number(port), hostname)
    for (const socket of [worker, postgres]) socket.on('error', () => {})
    wires.push([worker, postgres])
    if (!dead) worker.pipe(postgres).pipe(worker)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = new URL(target)
  url.port = String((server.address() as AddressInfo).port)
  return {
    url: url.href,
    fallSilent({ all = false, closed = false } = {}) {
      dead = all
      for (const [worker, postgres] of wires) {
        worker.unpipe(postgres).pause()
        postgres.unpipe(worker).pause()
        if (closed) postgres.destroy()
      }
    },
    recover() {
      dead = false
    },
    close() {
      for (const sockets of wires) for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}
