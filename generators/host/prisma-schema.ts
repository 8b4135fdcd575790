import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { HostError } from './errors.js'
import { hostPath, isFolder } from './files.js'
import { type PrismaMajor, parserOf } from './prisma-parser.js'
import { namesIn, type SchemaName } from './schema-names.js'
import { prismaElsewhere, schemasIn } from './workspace.js'

export interface SchemaFile {
  path: string
  text: string
}

export interface PrismaSchema {
  /** One file, or a folder with several files. */
  kind: 'file' | 'folder'
  path: string
  files: SchemaFile[]
  /** The major version of Prisma that parses it. */
  major: PrismaMajor
  names: SchemaName[]
  provider: string
  /** The environment variable in the `url` of the datasource. Prisma 7 has none there. */
  urlVariable: string | null
  /** The database schemas in the datasource. If there are any, every model needs `@@schema`. */
  schemas: string[]
  relationMode: 'foreignKeys' | 'prisma'
  /** The preview features that the generators enable: `partialIndexes`. */
  previewFeatures: string[]
  /** The generators of clients, and their output folders. */
  clients: { provider: string; output: string | null; engineType: string | null }[]
}

/** Whether the client sends its statements through a native query engine. Only Prisma 6 has one, and there it is the default. */
export function hasQueryEngine({ major, clients }: Pick<PrismaSchema, 'major' | 'clients'>): boolean {
  return major === 6 && !clients.some(({ engineType }) => engineType === 'client')
}

/** Finds the host's schema as Prisma does: the flag, else the configured path, else Prisma's default paths. */
export function readPrismaSchema(
  root: string,
  major: PrismaMajor,
  flag: string | undefined,
  configured: string | undefined,
): PrismaSchema {
  const tried = flag
    ? [resolve(root, flag)]
    : configured
      ? [configured]
      : [join(root, 'prisma/schema.prisma'), join(root, 'schema.prisma')]
  const found = tried.find((path) => existsSync(path))
  const files = found ? schemaFiles(root, found) : []
  if (!found || files.length === 0) {
    throw new HostError({
      code: 'SCHEMA_NOT_FOUND',
      message: `async-gen found no Prisma schema at ${tried.map((path) => hostPath(root, path)).join(' or ')}.`,
      where: root,
      remedy: nameSchema(root),
    })
  }
  const { datasources, generators } = configOf(files, major)
  requirePostgres(root, datasources)
  return {
    kind: isFolder(found) ? 'folder' : 'file',
    path: hostPath(root, found),
    files,
    major,
    names: schemaNames(files, major),
    provider: datasources[0]?.activeProvider ?? 'postgresql',
    urlVariable: datasources[0]?.url?.fromEnvVar ?? null,
    schemas: datasources[0]?.schemas ?? [],
    // Prisma's parser does not return it.
    relationMode: files.some(({ text }) => /^\s*relationMode\s*=\s*"prisma"/m.test(text)) ? 'prisma' : 'foreignKeys',
    previewFeatures: [...new Set(generators.flatMap(({ previewFeatures }) => previewFeatures))],
    clients: generators
      .filter(({ provider }) => provider.value?.startsWith('prisma-client'))
      .map(({ provider, output, config }) => ({
        provider: provider.value!,
        output: output?.value ?? null,
        engineType: config?.engineType ?? null,
      })),
  }
}

/** Lists the values that --schema can have. A folder with several files is listed instead of its files. */
function nameSchema(root: string): string {
  const all = schemasIn(root)
  const found = all.filter((path) => !all.some((other) => other !== '.' && path.startsWith(`${other}/`)))
  const inConfig = 'or set `schema` in prisma.config.ts'
  if (found.length === 0) return prismaElsewhere(root) ?? `Name your schema: --schema <path>, ${inConfig}`
  const flags = found.slice(0, 5).map((path) => `--schema ${path}`)
  if (flags.length === 1) return `Name the file or the folder: ${flags[0]}, ${inConfig}`
  return `Name one of these: ${flags.join(', or ')}; ${inConfig}`
}

/** The folder of the migrations, as Prisma finds it: the configured one, else `migrations` beside the schema. */
export function migrationsFolder(root: string, schema: PrismaSchema, configured: string | undefined): string {
  if (configured) return hostPath(root, configured)
  const folder = schema.kind === 'folder' ? schema.path : dirname(schema.path)
  return hostPath(root, join(root, folder, 'migrations'))
}

/** Prisma's error message for a schema; null if the schema is valid. */
export function schemaError(files: SchemaFile[], major: PrismaMajor): string | null {
  try {
    parserOf(major).validate(parserInput(files))
    return null
  } catch (error) {
    return parserMessage(error)
  }
}

/**
 * Formats one of our fragments as `prisma format` does. Never use it for a user's text: the formatter can change the meaning
 * of a schema (prisma #25260).
 */
export function canonicalFragment(text: string): string {
  const options = { textDocument: { uri: 'file:/schema.prisma' }, options: { tabSize: 2, insertSpaces: true } }
  const schema = JSON.stringify([['schema.prisma', text]])
  const [[, formatted]] = JSON.parse(parserOf(7).format(schema, JSON.stringify(options)))
  return formatted
}

function schemaFiles(root: string, path: string): SchemaFile[] {
  const paths = isFolder(path)
    ? readdirSync(path, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.prisma'))
        .sort()
        .map((name) => join(path, name))
    : [path]
  return paths.map((file) => ({ path: hostPath(root, file), text: readFileSync(file, 'utf8') }))
}

interface ParsedConfig {
  datasources: {
    activeProvider: string
    schemas: string[]
    sourceFilePath: string
    url?: { fromEnvVar: string | null }
  }[]
  generators: {
    provider: { value: string | null }
    output: { value: string | null } | null
    config?: { engineType?: string }
    previewFeatures: string[]
  }[]
}

function configOf(files: SchemaFile[], major: PrismaMajor): ParsedConfig {
  // A schema without a config does not parse, and `schemaNames` then reports Prisma's own error.
  return JSON.parse(parserOf(major).get_config(parserInput(files))).config ?? { datasources: [], generators: [] }
}

function requirePostgres(root: string, [datasource]: ParsedConfig['datasources']) {
  if (!datasource || datasource.activeProvider === 'postgresql') return
  throw wrongProvider(datasource.activeProvider, join(root, datasource.sourceFilePath))
}

function wrongProvider(provider: string, where: string): HostError {
  return new HostError({
    code: 'PROVIDER',
    message: `The provider of the schema is "${provider}". async-gen needs "postgresql".`,
    where,
    remedy: 'Use async-gen in an application on PostgreSQL. It depends on the triggers and locks of PostgreSQL.',
  })
}

/** Refuses another database without the parser, which may not accept the schemas of an older Prisma. */
export function refuseOtherProviders(root: string) {
  for (const path of schemasIn(root)) {
    const files = schemaFiles(root, join(root, path))
    for (const { path: file, text } of files) {
      const provider = /^datasource\s+\w+\s*\{[^}]*?^\s*provider\s*=\s*"(\w+)"/m.exec(text)?.[1]
      if (provider && !/^postgres(ql)?$/.test(provider)) throw wrongProvider(provider, join(root, file))
    }
  }
}

function schemaNames(files: SchemaFile[], major: PrismaMajor): SchemaName[] {
  const error = schemaError(files, major)
  if (error === null) return files.flatMap(({ text }) => namesIn(text))
  throw new HostError({
    code: 'SCHEMA_INVALID',
    message: `The Prisma schema does not parse.\n${error}`,
    where: files.map((file) => file.path).join(', '),
    remedy: 'Fix it until `npx prisma validate` passes, then run the command again.',
  })
}

function parserInput(files: SchemaFile[]): string {
  return JSON.stringify({ prismaSchema: files.map(({ path, text }) => [path, text]), noColor: true })
}

/** For an error in the schema, the parser throws JSON. */
function parserMessage(error: unknown): string {
  const { message } = error as Error
  try {
    return JSON.parse(message).message
  } catch {
    return message
  }
}
