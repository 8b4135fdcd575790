import type { Host } from './inspect.js'
import { Prisma8Clients } from './prisma-8/clients.js'
import { HostClients } from './prisma-client.js'
import { SourceModules } from './source-modules.js'

/** What finds the clients of a host. */
export async function clientsOf(host: Pick<Host, 'root' | 'modules' | 'schema'>): Promise<HostClients> {
  return host.schema.major === 8 ? new Prisma8Clients(await SourceModules.of(host)) : await HostClients.of(host)
}
