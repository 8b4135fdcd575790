import { described } from '../described.js'
import { AsyncGenError } from '../errors.js'
import type { Prisma7ClientLike, PrismaClientLike } from './client.js'
import type { Orm } from './orm.js'
import { Prisma6 } from './prisma-6.js'
import { Prisma7 } from './prisma-7.js'
import { isPrisma8, Prisma8 } from './prisma-8.js'

/**
 * The ORM of a client. Its version is an internal property of every PrismaClient, and of those that `$extends` returns.
 * @throws AsyncGenError NOT_A_CLIENT
 */
export function ormOf<Client extends PrismaClientLike>(client: Client): Orm<Client> {
  requireClient(client)
  if (isPrisma8(client)) return new Prisma8(client)
  const prisma = client as Client & Prisma7ClientLike
  const { _clientVersion: version } = client as { _clientVersion?: unknown }
  return typeof version === 'string' && version.startsWith('6.') ? new Prisma6(prisma) : new Prisma7(prisma)
}

/** @throws AsyncGenError NOT_A_CLIENT */
function requireClient(given: unknown): void {
  const isObject = (typeof given === 'object' && given !== null) || typeof given === 'function'
  if (isObject && (isPrisma8(given) || typeof (given as Partial<Prisma7ClientLike>).$transaction === 'function')) return
  throw new AsyncGenError(
    'NOT_A_CLIENT',
    `connect() needs a PrismaClient, or with Prisma 8 what \`postgres()\` returns: connect(prisma, …). It got ${described(given)}.`,
  )
}
