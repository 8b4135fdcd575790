import { readManifest } from '../changes/manifest.js'
import { clientsOf } from '../host/clients.js'
import { inspect } from '../host/inspect.js'
import { clientFlag } from '../pipeline/client-answer.js'
import { type HostLocation, locationFlags } from '../pipeline/session.js'

export type Facts = Awaited<ReturnType<typeof info>>

/** What async-gen detects in a host, and what its manifest says, as plain data. */
export async function info(place: HostLocation) {
  const { cwd } = place
  const manifest = readManifest(cwd)
  const host = await inspect(cwd, { ...manifest?.settings, ...locationFlags(place) })
  const { packageManager, modules, prisma, migrations } = host
  return {
    root: host.root,
    node: host.node,
    packageManager: packageManager.name,
    workspaceRoot: packageManager.workspaceRoot,
    lockFiles: packageManager.lockFiles,
    modules: modules.esm ? 'esm' : 'commonjs',
    importEnding: modules.ext,
    typescript: modules.options,
    paths: modules.paths,
    src: host.src,
    lineEnding: host.eol === '\n' ? 'lf' : 'crlf',
    prisma: prisma.version,
    prismaConfig: prisma.config,
    schema: host.schema.path,
    schemaKind: host.schema.kind,
    schemaFiles: host.schema.files.length,
    models: host.schema.names.filter(({ kind }) => kind === 'model').length,
    provider: host.schema.provider,
    databaseSchemas: host.schema.schemas,
    relationMode: host.schema.relationMode,
    generators: host.schema.clients,
    previewFeatures: host.schema.previewFeatures,
    migrations: migrations.path,
    migrationCount: migrations.names.length,
    clients: (await clientsOf(host)).search().candidates.map(clientFlag),
    testRunner: host.testRunner,
    formatter: host.formatter,
    installed: manifest && {
      asyncGen: manifest.asyncGen,
      ...manifest.settings,
      runs: Object.keys(manifest.generators),
    },
  }
}

/** The facts for people: one line each, with a label. */
export function describe(facts: Facts): [label: string, text: string][] {
  const { installed, clients, paths } = facts
  const strict = Object.entries(facts.typescript).flatMap(([option, on]) => (on ? [option] : []))
  return [
    ['folder', facts.root],
    ['Node', facts.node],
    ['package manager', `${facts.packageManager}${list(facts.lockFiles, ' (', ')')}`],
    ...line('workspace', facts.workspaceRoot === facts.root ? '' : facts.workspaceRoot),
    [
      'modules',
      `${facts.modules === 'esm' ? 'ES modules' : 'CommonJS'}, imports end in ${facts.importEnding || 'no extension'}`,
    ],
    ...line('TypeScript', strict.join(', ')),
    ...line('path aliases', Object.keys(paths).join(', ')),
    ['line endings', facts.lineEnding.toUpperCase()],
    ['Prisma', `${facts.prisma}${facts.prismaConfig ? `, with ${facts.prismaConfig}` : ''}`],
    [
      'schema',
      `${facts.schema}, ${counted(facts.models, 'model')}${facts.schemaKind === 'folder' ? ` in ${counted(facts.schemaFiles, 'file')}` : ''}`,
    ],
    ['database', `${facts.provider}${list(facts.databaseSchemas, ', in the schemas ')}`],
    ['foreign keys', facts.relationMode === 'prisma' ? 'none: relationMode = "prisma"' : 'in the database'],
    ...facts.generators.map(({ provider, output }): [string, string] => [
      'Prisma generator',
      `${provider}${output ? `, into ${output}` : ''}`,
    ]),
    ...line('preview features', facts.previewFeatures.join(', ')),
    ['migrations', `${facts.migrations}, ${counted(facts.migrationCount, 'migration')}`],
    ['PrismaClient', clients.join(', ') || 'none found; name it with --client src/db.ts#prisma'],
    ['specs', facts.testRunner ?? 'no test runner found'],
    ['formatter', facts.formatter ?? 'none found'],
    [
      'async-gen',
      installed
        ? `${installed.asyncGen}, in ${installed.dir}: ${installed.runs.join(', ')}`
        : 'not installed: npx async-gen install',
    ],
  ]
}

function line(label: string, text: string): [string, string][] {
  return text === '' ? [] : [[label, text]]
}

function list(items: string[], before: string, after = ''): string {
  return items.length === 0 ? '' : `${before}${items.join(', ')}${after}`
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
