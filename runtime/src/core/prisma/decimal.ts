import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
// The package is a peer dependency, so that the runtime gets the host's copy.
import { Decimal } from '@prisma/client/runtime/client'

/** A class of decimals, as the generated client exports it: `Prisma.Decimal`. */
export type DecimalClass = new (value: string) => Decimal

export type { Decimal }

let ofClient: DecimalClass = Decimal

/** Has `decimalFrom` use the class of a client. If a process has several clients, they are usually of the same version. */
export function useDecimal(Class: DecimalClass): void {
  ofClient = Class
}

/** A decimal of the class that the PrismaClient returns. */
export function decimalFrom(text: string): Decimal {
  return new ofClient(text)
}

/**
 * The class of a client of that version. In a workspace whose applications have several majors of Prisma, the runtime may see another copy
 * of `@prisma/client` than the application does. Then it is looked for in the working directory.
 */
export async function decimalOf(version: string | undefined): Promise<DecimalClass> {
  const places = [createRequire(import.meta.url), createRequire(join(process.cwd(), 'package.json'))]
  const place = places.find((require) => versionAt(require) === version)
  if (!place || place === places[0]) return Decimal
  const path = place.resolve('@prisma/client/runtime/client')
  return (await import(pathToFileURL(path).href)).Decimal
}

function versionAt(require: NodeJS.Require): string | undefined {
  try {
    return require('@prisma/client/package.json').version
  } catch {
    return undefined
  }
}
