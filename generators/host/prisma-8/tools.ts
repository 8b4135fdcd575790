import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { HostError } from '../errors.js'

/** The functions of Prisma 8 that the generators call. They are those of the host's own copy. */
export interface Prisma8Tools {
  loadConfig(path: string): Promise<{ ok: true; value: LoadedConfig } | { ok: false; failure: PrismaFailure }>
  /** Makes the config of another contract. */
  defineConfig(options: { contract: string; output: string; extensions: unknown }): unknown
  /** Writes `contract.json` and `contract.d.ts` into `outputPath`. */
  executeContractEmit(options: {
    config: unknown
    cwd: string
    projectDir: string
    outputPath: string
  }): Promise<{ storageHash: string }>
  computeMigrationHash(metadata: object, operations: object[]): string
}

interface LoadedConfig {
  config: {
    contract?: { source: { format?: string; inputs?: readonly string[] }; output?: string }
    migrations?: { dir?: string }
    extensions?: unknown
  }
  diagnostics: readonly PrismaFailure[]
}

/** An error of Prisma 8. The reasons are in `why`, and for a contract in `meta.issues`. */
export interface PrismaFailure {
  message?: string
  summary?: string
  why?: string
  meta?: { issues?: { message?: string }[] }
}

/** What an error of Prisma 8 says, as one text. */
export function failureText(error: PrismaFailure): string {
  const issues = error.meta?.issues?.flatMap(({ message }) => message ?? []) ?? []
  return issues.length > 0
    ? issues.join('\n')
    : (error.why ?? error.summary ?? error.message ?? 'Prisma gives no reason.')
}

/** @throws HostError PROVIDER if the host uses Prisma 8 with another database */
export async function prisma8Tools(root: string): Promise<Prisma8Tools> {
  const host = createRequire(join(root, 'package.json'))
  let path: string
  try {
    path = host.resolve('@prisma/orm-postgres/package.json')
  } catch {
    throw new HostError({
      code: 'PROVIDER',
      message: 'Prisma 8 is installed, but not @prisma/orm-postgres. async-gen needs PostgreSQL.',
      where: join(root, 'package.json'),
      remedy: 'Install it in an application on PostgreSQL: npx prisma orm init --target postgres',
    })
  }
  const load = async (name: string) => await import(pathToFileURL(createRequire(path).resolve(name)).href)
  const [{ loadConfig }, { executeContractEmit }, { defineConfig }, { computeMigrationHash }] = await Promise.all([
    load('@prisma/orm-toolchain/config-loader'),
    load('@prisma/orm-toolchain/cli/control-api'),
    load('@prisma/orm-postgres/config'),
    load('@prisma/orm-postgres/migration-tools/hash'),
  ])
  return { loadConfig, executeContractEmit, defineConfig, computeMigrationHash }
}
