import { existsSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { satisfies } from 'semver'
import { HostError } from './errors.js'
import type { PackageJson } from './package-json.js'
import { usesPlugAndPlay } from './package-manager.js'
import { TESTED_ORM_POSTGRES, TESTED_PRISMA_8 } from './prisma-8/versions.js'
import type { PrismaMajor } from './prisma-parser.js'
import { prismaElsewhere } from './workspace.js'

export interface PrismaConfig {
  /** The absolute path of the file; null if there is none. */
  path: string | null
  /** The absolute path in `schema`: a file or a folder. With Prisma 6, it can be in package.json. */
  schema?: string
  /** The absolute path in `migrations.path`. */
  migrations?: string
}

interface LoadedConfig {
  config?: { schema?: string; migrations?: { path?: string } }
  resolvedPath: string | null
  error?: { error?: Error; _tag?: string }
}

export interface InstalledPrisma {
  version: string
  major: PrismaMajor
  /** The absolute path of its package.json. */
  path: string
  /** Its command: `prisma`, or `prisma7` if it is installed beside Prisma 8. */
  command: 'prisma' | 'prisma7'
}

/** The version of the installed Prisma. The range in the host's package.json can be `catalog:` or `workspace:*`. */
export function installedPrisma(root: string, packageJson: PackageJson): InstalledPrisma {
  const seven = prisma7Beside(root)
  if (seven) return seven
  const require = createRequire(join(root, 'package.json'))
  let path: string
  try {
    path = require.resolve('prisma/package.json')
  } catch {
    const named = packageJson.packages.includes('prisma')
    throw new HostError({
      code: named ? 'PRISMA_NOT_INSTALLED' : 'NO_PRISMA',
      message: named ? 'package.json names prisma, but it is not installed.' : 'This project does not use Prisma.',
      where: join(root, 'package.json'),
      remedy: named
        ? installIt(root)
        : (prismaElsewhere(root) ??
          'async-gen needs an application with Prisma and PostgreSQL. To start one: npm install prisma@7 @prisma/client@7 && npx prisma init'),
    })
  }
  const version = versionIn(path)
  if (!satisfies(version, SUPPORTED, { includePrerelease: true })) throw notSupported(version, dirname(path))
  return { version, major: Number.parseInt(version, 10) as PrismaMajor, path, command: 'prisma' }
}

const SUPPORTED = `^6.16.0 || ^7.0.0 || >=${TESTED_PRISMA_8} <9.0.0-0`

function versionIn(path: string): string {
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version
}

/** The Prisma 7 of `@prisma/prisma7`. While there is a prisma7.config, it owns the schema and its migrations. */
function prisma7Beside(root: string): InstalledPrisma | undefined {
  const isConfigured = ['ts', 'mts', 'cts', 'js', 'mjs', 'cjs'].some((extension) =>
    ['prisma7.config', '.config/prisma7'].some((name) => existsSync(join(root, `${name}.${extension}`))),
  )
  if (!isConfigured) return undefined
  try {
    const beside = createRequire(join(root, 'package.json')).resolve('@prisma/prisma7/package.json')
    const path = createRequire(beside).resolve('prisma/package.json')
    return { version: versionIn(path), major: 7, path, command: 'prisma7' }
  } catch {
    // The package prisma 7 reads a prisma7.config, too.
    return undefined
  }
}

function notSupported(version: string, where: string): HostError {
  const isSix = version.startsWith('6.')
  if (version.startsWith('8.')) return olderPreview(version, where)
  return new HostError({
    code: isSix ? 'PRISMA_VERSION' : 'PRISMA_MAJOR',
    message:
      `Prisma ${version} is installed. async-gen needs Prisma 7, or Prisma 6.16 or later.` +
      (isSix
        ? ' Earlier versions have neither driver adapters nor the client without a query engine as stable features.'
        : ''),
    where,
    remedy: isSix
      ? 'Change to the last Prisma 6: npm install prisma@^6.19.0 @prisma/client@^6.19.0. If the schema is a folder, Prisma then looks for the migrations beside the file with the datasource.'
      : 'Change to Prisma 7 (https://www.prisma.io/docs/guides/upgrade-prisma-orm): npm install prisma@7 @prisma/client@7',
  })
}

function olderPreview(version: string, where: string): HostError {
  return new HostError({
    code: 'PRISMA_VERSION',
    message: `Prisma ${version} is installed. Of Prisma 8, which async-gen supports as a preview, it needs ${TESTED_PRISMA_8} or later.`,
    where,
    remedy: INSTALL_PRISMA_8,
  })
}

const INSTALL_PRISMA_8 = `npm install --save-exact prisma@${TESTED_PRISMA_8} @prisma/orm-postgres@${TESTED_ORM_POSTGRES}`

function installIt(root: string): string {
  return usesPlugAndPlay(root)
    ? "With Yarn's Plug'n'Play, async-gen has to be a dependency of the project: yarn add -D async-gen, then yarn async-gen … If Prisma does not run either, set `nodeLinker: node-modules` in .yarnrc.yml"
    : 'Install the dependencies (`npm install`), then run the command again.'
}

/** Loads the host's prisma.config with the host's own Prisma, so that both read it in the same way. Prisma 6 works without one. */
export async function loadPrismaConfig(
  root: string,
  { path: prismaPath, major, version }: InstalledPrisma,
  configFile?: string,
): Promise<PrismaConfig> {
  const { loadConfigFromFile, loadConfigFromPackageJson } = createRequire(prismaPath)('@prisma/config')
  const load = () => loadConfigFromFile({ configRoot: root, ...(configFile && { configFile }) })
  const { config, resolvedPath, error }: LoadedConfig = await withoutOutput(() => withPlaceholderVariables(load))
  if (error) {
    if (resolvedPath && isOfPrisma8(resolvedPath)) throw configOfPrisma8(version, resolvedPath)
    throw new HostError({
      code: 'PRISMA_CONFIG_INVALID',
      message: `prisma.config cannot be loaded: ${error.error?.message ?? error._tag ?? 'Prisma gives no reason.'}`,
      where: resolvedPath && existsSync(resolvedPath) ? resolvedPath : root,
      remedy: 'Fix it until `npx prisma validate` passes, then run the command again.',
    })
  }
  const path = resolvedPath && existsSync(resolvedPath) ? resolvedPath : null
  if (major === 6 && path === null) return { path, ...schemaInPackageJson(await loadConfigFromPackageJson(root)) }
  return {
    path,
    ...(config?.schema && { schema: config.schema }),
    ...(config?.migrations?.path && { migrations: config.migrations.path }),
  }
}

function isOfPrisma8(path: string): boolean {
  const isFile = statSync(path, { throwIfNoEntry: false })?.isFile() === true
  return isFile && /^import .* from ['"]@prisma\/orm-/m.test(readFileSync(path, 'utf8'))
}

/** `prisma orm init` installs the latest version on the registry, which may be Prisma 7. */
function configOfPrisma8(version: string, where: string): HostError {
  return new HostError({
    code: 'PRISMA_VERSION',
    message: `This is the config of a Prisma 8, but Prisma ${version} is installed.`,
    where,
    remedy: INSTALL_PRISMA_8,
  })
}

/** `prisma.schema` in package.json, which Prisma 6 reads if there is no prisma.config. */
function schemaInPackageJson(found: { config: { schema?: unknown }; loadedFromFile: string } | null) {
  const schema = found?.config.schema
  return typeof schema === 'string' && found ? { schema: resolve(dirname(found.loadedFromFile), schema) } : {}
}

/** The errors of `env()` for a variable that is not set: in Prisma 7.0 and 7.1, and in later versions. */
const MISSING_VARIABLE = /(?:Missing required|Cannot resolve) environment variable: (\w+)/

/** Sets each variable that `env()` misses to a placeholder. CI often has no DATABASE_URL, and we do not connect to it here. */
async function withPlaceholderVariables(load: () => Promise<LoadedConfig>): Promise<LoadedConfig> {
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

/** Redirects stdout to stderr: what the config prints must not get into our own output. */
async function withoutOutput<T>(load: () => Promise<T>): Promise<T> {
  const write = process.stdout.write
  process.stdout.write = process.stderr.write.bind(process.stderr)
  try {
    return await load()
  } finally {
    process.stdout.write = write
  }
}
