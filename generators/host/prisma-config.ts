import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { HostError } from './errors.js'
import { upwards } from './files.js'
import type { PackageJson } from './package-json.js'
import { prismaElsewhere } from './workspace.js'

export interface PrismaConfig {
  /** The file, absolute; null where there is none. */
  path: string | null
  /** Where `schema` of prisma.config points: a file or a folder, absolute. */
  schema?: string
  /** Where `migrations.path` points, absolute. */
  migrations?: string
}

interface LoadedConfig {
  config?: { schema?: string; migrations?: { path?: string } }
  resolvedPath: string | null
  error?: { error?: Error; _tag?: string }
}

export interface InstalledPrisma {
  version: string
  /** Its package.json, absolute. */
  path: string
}

/** The installed Prisma's package.json. The range that the host names says little (`catalog:`, `workspace:*`). */
export function installedPrisma(root: string, packageJson: PackageJson): InstalledPrisma {
  const { resolve } = createRequire(join(root, 'package.json'))
  let path: string
  try {
    path = resolve('prisma/package.json')
  } catch {
    const named = packageJson.packages.includes('prisma')
    throw new HostError({
      code: named ? 'PRISMA_NOT_INSTALLED' : 'NO_PRISMA',
      message: named ? 'package.json names prisma, but it is not installed.' : 'This project does not use Prisma.',
      where: join(root, 'package.json'),
      remedy: named
        ? installIt(root)
        : (prismaElsewhere(root) ??
          'async-gen adds to an application on Prisma 7 and PostgreSQL. To start one: npm install prisma@7 @prisma/client@7 && npx prisma init'),
    })
  }
  const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string }
  if (Number.parseInt(version, 10) !== 7) {
    throw new HostError({
      code: 'PRISMA_MAJOR',
      message: `Prisma ${version} is installed; async-gen works with Prisma 7.`,
      where: dirname(path),
      remedy:
        'Upgrade (https://www.prisma.io/docs/guides/upgrade-prisma-orm), or: npm install prisma@7 @prisma/client@7',
    })
  }
  return { version, path }
}

function installIt(root: string): string {
  const plugged = upwards(root).some((folder) => existsSync(join(folder, '.pnp.cjs')))
  return plugged
    ? "With Yarn's Plug'n'Play only a package of the project sees the others: yarn add -D async-gen, then yarn async-gen … Where Prisma does not run either: `nodeLinker: node-modules` in .yarnrc.yml"
    : 'Install the dependencies (`npm install`, or what your package manager calls it), then run the command again.'
}

/** The host's prisma.config, read by the host's own Prisma, so that it means here what it means there. */
export async function loadPrismaConfig(root: string, prismaPath: string, configFile?: string): Promise<PrismaConfig> {
  const { loadConfigFromFile } = createRequire(prismaPath)('@prisma/config')
  const load = () => loadConfigFromFile({ configRoot: root, ...(configFile && { configFile }) })
  const { config, resolvedPath, error }: LoadedConfig = await withoutOutput(() => withStandIns(load))
  if (error) {
    throw new HostError({
      code: 'PRISMA_CONFIG_INVALID',
      message: `prisma.config cannot be loaded: ${error.error?.message ?? error._tag ?? 'Prisma gives no reason.'}`,
      where: resolvedPath && existsSync(resolvedPath) ? resolvedPath : root,
      remedy: 'Fix it until `npx prisma validate` passes, then run the command again.',
    })
  }
  return {
    path: resolvedPath && existsSync(resolvedPath) ? resolvedPath : null,
    ...(config?.schema && { schema: config.schema }),
    ...(config?.migrations?.path && { migrations: config.migrations.path }),
  }
}

/** What `env()` says of a variable that is not set: in Prisma 7.0 and 7.1, and since. */
const MISSING_VARIABLE = /(?:Missing required|Cannot resolve) environment variable: (\w+)/

/** A fresh checkout and CI have no DATABASE_URL, which nothing here connects to: what `env()` misses is made up. */
async function withStandIns(load: () => Promise<LoadedConfig>): Promise<LoadedConfig> {
  const made: string[] = []
  try {
    for (;;) {
      const loaded = await load()
      const missing = MISSING_VARIABLE.exec(loaded.error?.error?.message ?? '')?.[1]
      if (!missing || made.includes(missing)) return loaded
      made.push(missing)
      process.env[missing] = 'postgresql://localhost/stand-in'
    }
  } finally {
    for (const name of made) delete process.env[name]
  }
}

/** A config is a program, and what it prints is not our output: it goes where errors go. */
async function withoutOutput<T>(load: () => Promise<T>): Promise<T> {
  const write = process.stdout.write
  process.stdout.write = process.stderr.write.bind(process.stderr)
  try {
    return await load()
  } finally {
    process.stdout.write = write
  }
}
