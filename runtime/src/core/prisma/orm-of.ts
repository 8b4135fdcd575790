import type { PrismaClientLike } from './client.js'
import type { Orm } from './orm.js'
import { Prisma6 } from './prisma-6.js'
import { Prisma7 } from './prisma-7.js'

/** The ORM of a client. Its version is an internal property of every PrismaClient, and of those that `$extends` returns. */
export function ormOf<Client extends PrismaClientLike>(client: Client): Orm<Client> {
  const { _clientVersion: version } = client as { _clientVersion?: unknown }
  return typeof version === 'string' && version.startsWith('6.') ? new Prisma6(client) : new Prisma7(client)
}
