/**
 * The class of the PrismaClient's decimals, which the generated client exports as `Prisma.Decimal`. The package is a peer dependency, so
 * that the runtime gets the host's copy.
 */
export { Decimal } from '@prisma/client/runtime/client'
