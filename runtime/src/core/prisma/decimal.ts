/**
 * The class of the PrismaClient's decimals: what the generated client exports as `Prisma.Decimal`. The package is a peer, so
 * that the package manager gives the runtime the host's own.
 */
export { Decimal } from '@prisma/client/runtime/client'
