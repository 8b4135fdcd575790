import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { join as hostJoin } from 'node:path/posix'
import { gt, major, minor } from 'semver'
import { hashOf, type Manifest, parseFileKey } from '../../changes/manifest.js'
import { hasMarkers } from '../../changes/merge.js'
import { isFolder, readText } from '../../host/files.js'
import type { Host } from '../../host/inspect.js'
import { installedVersion } from '../../host/installed-package.js'
import { version } from '../../host/own-package.js'
import { isModuleName } from '../../host/prisma-client.js'
import { parseClient } from '../../pipeline/client-answer.js'
import { installCommand, RUNTIME } from '../../pipeline/install-command.js'
import { otherVersion } from '../../pipeline/installed-version.js'
import { ejectedPath, staleTemplates } from '../../pipeline/templates.js'
import { dashboardFindings } from './dashboard.js'
import { type Definitions, readMigration } from './definitions.js'
import type { Finding } from './finding.js'
import { isIn, versionFindings } from './versions.js'

/** The problems in the files of a host in which async-gen is installed. */
export function projectFindings(host: Host, manifest: Manifest): Finding[] {
  return [
    ...leftoverMarkers(host, manifest),
    ...editedMigrations(host, manifest),
    ...undeclaredIndexes(host, manifest),
    ...lockFiles(host),
    ...tasksTwice(host, manifest),
    ...missingClient(host, manifest),
    ...installedPackages(host),
    ...versionFindings(host),
    ...behind(manifest),
    ...dashboardFindings(host, manifest),
    ...otherVersion(host).map((message) => ({
      severity: 'warning' as const,
      code: 'OTHER_VERSION',
      message: `${message[0]!.toUpperCase()}${message.slice(1)}.`,
      where: 'package.json',
      remedy: `Use one version everywhere: ${host.packageManager.exec} async-gen`,
    })),
  ]
}

function leftoverMarkers({ root }: Host, { files }: Manifest): Finding[] {
  const paths = [...new Set(Object.keys(files).map((key) => parseFileKey(key).path))]
  return paths
    .filter((path) => hasMarkers(readText(root, path) ?? ''))
    .map((where) => ({
      severity: 'error',
      code: 'LEFTOVER_MARKERS',
      message: 'The file contains conflict markers: <<<<<<< and >>>>>>>.',
      where,
      remedy: 'Edit the file: keep the lines that you want, and delete the markers.',
    }))
}

function editedMigrations({ root, migrations }: Host, manifest: Manifest): Finding[] {
  return Object.values(manifest.migrations).flatMap(({ folder, hash }): Finding[] => {
    const where = hostJoin(migrations.path, folder, 'migration.sql')
    const text = readText(root, where)
    if (text === null || hashOf(text) === hash) return []
    return [
      {
        severity: 'warning',
        code: 'MIGRATION_EDITED',
        message: 'The migration was edited. A database that ran it before does not have the change.',
        where,
        remedy:
          'If any database has run it: restore the file from version control, and write the change into a new migration.',
      },
    ]
  })
}

/** With the preview feature, Prisma's next migration drops partial indexes that the schema does not declare. */
function undeclaredIndexes({ root, migrations, schema }: Host, manifest: Manifest): Finding[] {
  if (!schema.previewFeatures.includes('partialIndexes')) return []
  const definitions: Definitions = new Map()
  for (const { folder } of Object.values(manifest.migrations))
    readMigration(definitions, readText(root, hostJoin(migrations.path, folder, 'migration.sql')) ?? '', folder)
  const undeclared = [...definitions.values()].filter(
    ({ kind, name, text }) =>
      kind === 'index' && text?.includes('where') && !schema.files.some((file) => file.text.includes(`map: "${name}"`)),
  )
  if (undeclared.length === 0) return []
  return [
    {
      severity: 'error',
      code: 'INDEXES_UNDECLARED',
      message: `The schema enables partialIndexes, but does not declare ${undeclared.map(({ name }) => name).join(', ')}. Prisma's next migration would drop them.`,
      where: schema.path,
      remedy: 'Run: npx async-gen upgrade. It declares them.',
    },
  ]
}

function lockFiles({ packageManager: { lockFiles: found, workspaceRoot, name } }: Host): Finding[] {
  if (found.length < 2) return []
  return [
    {
      severity: 'warning',
      code: 'LOCK_FILES',
      message: `The project has ${found.length} lock files: ${found.join(', ')}. They can name different versions.`,
      where: workspaceRoot,
      remedy: `Keep the lock file of ${name}, which async-gen uses, and delete the others.`,
    },
  ]
}

function tasksTwice({ root }: Host, { settings }: Manifest): Finding[] {
  const folder = hostJoin(settings.dir, 'tasks')
  if (!isFolder(join(root, folder))) return []
  const files = readdirSync(join(root, folder)).filter((file) => /\.[cm]?[jt]s$/.test(file))
  const stem = (file: string) => file.replace(/\.[cm]?[jt]s$/, '')
  return files
    .filter((file) => files.some((other) => other < file && stem(other) === stem(file)))
    .map((file) => ({
      severity: 'error',
      code: 'TASK_TWICE',
      message: `Two files define the task ${stem(file)}. Graphile Worker loads only one of them.`,
      where: hostJoin(folder, file),
      remedy: 'Delete or rename one of them. If it is build output, change the output folder.',
    }))
}

function missingClient({ root }: Host, { settings }: Manifest): Finding[] {
  const { path } = parseClient(settings.client)
  if (isModuleName(path) || existsSync(join(root, path))) return []
  return [
    {
      severity: 'error',
      code: 'CLIENT_GONE',
      message: `The module ${path}, which exported the PrismaClient, no longer exists.`,
      where: `${settings.dir}/database.ts`,
      remedy: 'Name the new module: npx async-gen install --client src/db.ts#prisma',
    },
  ]
}

function installedPackages(host: Host): Finding[] {
  const { root, packageJson, packageManager } = host
  const runtime = installedVersion(root, RUNTIME)
  const missing = [
    { name: RUNTIME, found: runtime },
    { name: 'graphile-worker', found: installedVersion(root, 'graphile-worker') },
  ].flatMap(({ name, found }): Finding[] => {
    const finding = { severity: 'error' as const, where: 'package.json' }
    if (!packageJson.packages.includes(name)) {
      const remedy = `npx async-gen doctor --fix, then: ${packageManager.install}`
      return [{ ...finding, code: 'PACKAGE_NOT_NAMED', message: `package.json does not name ${name}.`, remedy }]
    }
    if (found) return []
    return [
      {
        ...finding,
        code: 'PACKAGE_NOT_INSTALLED',
        message: `${name} is not installed.`,
        remedy: installCommand(host),
      },
    ]
  })
  return [...missing, ...(runtime ? runtimeFindings(runtime, packageManager.install) : [])]
}

function runtimeFindings(runtime: string, install: string): Finding[] {
  if (isIn(`${major(version)}.${minor(version)}.x`, runtime)) return []
  return [
    {
      severity: 'warning',
      code: 'RUNTIME_VERSION',
      message: `@async-gen/runtime ${runtime} is installed, but async-gen ${version} generates code for version ${version}.`,
      where: 'package.json',
      remedy: `npx async-gen upgrade, then: ${install}`,
    },
  ]
}

function behind(manifest: Manifest): Finding[] {
  const remedy = 'npx async-gen diff shows the changes; npx async-gen upgrade merges them'
  return [
    ...(gt(version, manifest.asyncGen)
      ? [
          {
            severity: 'warning' as const,
            code: 'BEHIND',
            message: `async-gen ${manifest.asyncGen} wrote the files. This is async-gen ${version}.`,
            remedy,
          },
        ]
      : []),
    ...staleTemplates(manifest).map((template) => ({
      severity: 'warning' as const,
      code: 'TEMPLATE_STALE',
      message: `Your copy of the template ${template} is older than the one in async-gen ${version}.`,
      where: ejectedPath(template),
      remedy,
    })),
  ]
}
