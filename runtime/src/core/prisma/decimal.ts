// The package is a peer dependency, so that the runtime gets the host's copy.
import { Decimal } from '@prisma/client/runtime/client'

export { Decimal }

/** A class of decimals, as the generated client exports it: `Prisma.Decimal`. */
export type DecimalClass = new (value: string) => Decimal

let ofClient: DecimalClass = Decimal

/** Has `decimalFrom` use the class of a client. If a process has several clients, they are usually of the same version. */
export function useDecimal(Class: DecimalClass): void {
  ofClient = Class
}

/** A decimal of the class that the PrismaClient returns. */
export function decimalFrom(text: string): Decimal {
  return new ofClient(text)
}
