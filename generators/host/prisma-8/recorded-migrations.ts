import { readSection, writeSection } from '../schema-block.js'

export const MIGRATIONS_SECTION = 'async_gen_migrations'

/**
 * Adds migrations to an enum of the contract. Prisma 8 runs no migration from a contract to itself. An enum that no column uses changes the
 * contract, and nothing in the database.
 */
export function recordMigrations(contract: string, names: string[]): string {
  const recorded = [...(readSection(contract, MIGRATIONS_SECTION) ?? '').matchAll(/^ *(\w+) *= *"/gm)].map(
    ([, name]) => name!,
  )
  const members = [...new Set([...recorded, ...names])].map((name) => `  ${name} = "${name}"\n`)
  return writeSection(
    contract,
    MIGRATIONS_SECTION,
    `${COMMENT}\nenum AsyncGenMigration {\n${members.join('')}\n  @@type("pg/text@1")\n}`,
  )
}

const COMMENT = `/// Migrations of async-gen that change no model, for example only a trigger. Prisma 8 runs a migration only if it changes the contract.
/// No column has this type.`
