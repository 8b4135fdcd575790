import { readManifest } from './changes/manifest.js'
import { clientFlag } from './client-answer.js'
import { inspect } from './host/inspect.js'
import { HostClients } from './host/prisma-client.js'
import { given, type Place } from './session.js'

export type Facts = Awaited<ReturnType<typeof info>>

/** What async-gen sees of a host, and remembers of it: plain data. */
export async function info(place: Place) {
  const { cwd } = place
  const manifest = readManifest(cwd)
  const host = await inspect(cwd, { ...manifest?.settings, ...given(place) })
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
    migrations: migrations.path,
    migrationCount: migrations.names.length,
    clients: (await HostClients.of(host)).search().candidates.map(clientFlag),
    testRunner: host.testRunner,
    formatter: host.formatter,
    installed: manifest && {
      asyncGen: manifest.asyncGen,
      ...manifest.settings,
      runs: Object.keys(manifest.generators),
    },
  }
}
