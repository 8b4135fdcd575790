import { readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { HostError, UsageError } from './errors.js'
import { type Eol, eolOf, hostPath, isFolder } from './files.js'
import { type FormatterName, formatterOf } from './formatter.js'
import { type PackageJson, readPackageJson } from './package-json.js'
import { type PackageManager, packageManagerOf } from './package-manager.js'
import { type EmitContract, readContract } from './prisma-8/contract.js'
import { type InstalledPrisma, installedPrisma, loadPrismaConfig } from './prisma-config.js'
import { migrationsFolder, type PrismaSchema, readPrismaSchema, refuseOtherProviders } from './prisma-schema.js'
import { type ModuleStyle, moduleStyleOf } from './typescript.js'

/** The host project as plain data: everything that a generator may know about it. Paths are relative to `root`. */
export interface Host {
  root: string
  /** The version of Node that runs this process: `20.19.0`. */
  node: string
  /** The host's line ending, for new files. */
  eol: Eol
  packageJson: PackageJson
  packageManager: PackageManager
  modules: ModuleStyle
  prisma: { version: string; command: 'prisma' | 'prisma7'; config: string | null }
  /** With Prisma 8, the contract. */
  schema: PrismaSchema
  /** Emits a text of the contract; null before Prisma 8. */
  emitContract: EmitContract | null
  /** The path of `contract.json`; null before Prisma 8. */
  emittedContract: string | null
  migrations: { path: string; names: string[] }
  testRunner: TestRunner | null
  formatter: FormatterName
  /** Whether the host has a folder `src/`. */
  src: boolean
}

export async function inspect(
  root: string,
  flags: { schema?: string | undefined; config?: string | undefined; migrations?: string | undefined } = {},
): Promise<Host> {
  const packageJson = readPackageJson(root)
  const prisma = prismaOf(root, packageJson)
  const { config, schema, migrations: folder, emit, emitted } = await readSchema(root, prisma, flags)
  const migrations = flags.migrations ? namedFolder(root, flags.migrations) : folder
  return {
    root,
    node: process.versions.node,
    eol: eolOf(schema.files[0]!.text),
    packageJson,
    packageManager: await packageManagerOf(root),
    modules: moduleStyleOf(root, packageJson.type),
    prisma: { version: prisma.version, command: prisma.command, config },
    schema,
    emitContract: emit ?? null,
    emittedContract: emitted ?? null,
    testRunner: testRunnerOf(packageJson),
    formatter: formatterOf(root, packageJson.packages),
    migrations: { path: migrations, names: migrationNames(join(root, migrations)) },
    src: isFolder(join(root, 'src')),
  }
}

interface ReadSchema {
  config: string | null
  schema: PrismaSchema
  migrations: string
  emit?: EmitContract
  emitted?: string
}

async function readSchema(
  root: string,
  prisma: InstalledPrisma,
  flags: { schema?: string | undefined; config?: string | undefined },
): Promise<ReadSchema> {
  if (prisma.major === 8) return await readContract(root, flags.config)
  const config = await loadPrismaConfig(root, prisma, flags.config)
  const schema = readPrismaSchema(root, prisma.major, flags.schema, config.schema)
  const migrations = migrationsFolder(root, schema, config.migrations)
  return { config: config.path && hostPath(root, config.path), schema, migrations }
}

/** The value of --migrations, which has to be inside the host: the application deploys its own migrations only. */
function namedFolder(root: string, flag: string): string {
  const folder = hostPath(root, resolve(root, flag))
  if (folder && !folder.startsWith('..')) return folder
  throw new UsageError({
    code: 'MIGRATIONS_INVALID',
    message: `--migrations ${flag} is not a folder inside the project.`,
    remedy: 'Name a folder relative to the project: --migrations prisma/migrations',
  })
}

/** Reports an unsupported database before an unsupported Prisma: upgrading Prisma would not help that user. */
function prismaOf(root: string, packageJson: PackageJson) {
  try {
    return installedPrisma(root, packageJson)
  } catch (error) {
    if (error instanceof HostError && /^PRISMA_(MAJOR|VERSION)$/.test(error.code)) refuseOtherProviders(root)
    throw error
  }
}

/** In the order in which they are chosen: first those for which specs are written. */
const TEST_RUNNERS = ['vitest', 'jest', 'node:test', 'mocha', 'ava'] as const
type TestRunner = (typeof TEST_RUNNERS)[number]

function testRunnerOf({ packages, scripts }: PackageJson): TestRunner | null {
  const usesNodeTest = Object.values(scripts).some((script) => /\b(node|tsx)\b[^&|;]*\s--test\b/.test(script))
  const has = (runner: TestRunner) => (runner === 'node:test' ? usesNodeTest : packages.includes(runner))
  return TEST_RUNNERS.find(has) ?? null
}

function migrationNames(folder: string): string[] {
  if (!isFolder(folder)) return []
  return (
    readdirSync(folder, { withFileTypes: true })
      // Prisma 8 has its refs beside its migrations.
      .filter((entry) => entry.isDirectory() && entry.name !== 'refs')
      .map((entry) => entry.name)
      .sort()
  )
}
