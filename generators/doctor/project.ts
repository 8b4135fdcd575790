import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { join as hostJoin } from 'node:path/posix'
import { gt, major, minor, satisfies } from 'semver'
import { hashOf, type Manifest, parseFileKey } from '../changes/manifest.js'
import { hasMarkers } from '../changes/merge.js'
import { parseClient } from '../client-answer.js'
import { isFolder, readText } from '../host/files.js'
import type { Host } from '../host/inspect.js'
import { isModuleName } from '../host/prisma-client.js'
import { runsGraphileWorker18 } from '../install.js'
import { otherVersion } from '../installed-version.js'
import { version } from '../own-package.js'
import { ejectedPath, staleTemplates } from '../templates.js'
import { type Definitions, define } from './definitions.js'
import type { Finding } from './finding.js'

/** What is wrong with the files of a host in which async-gen is installed. */
export function projectFindings(host: Host, manifest: Manifest): Finding[] {
  return [
    ...leftoverMarkers(host, manifest),
    ...editedMigrations(host, manifest),
    ...undeclaredIndexes(host, manifest),
    ...lockFiles(host),
    ...tasksTwice(host, manifest),
    ...missingClient(host, manifest),
    ...installedPackages(host),
    ...behind(manifest),
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
      message: 'A merge has not been finished: the file holds both versions, between <<<<<<< and >>>>>>>.',
      where,
      remedy: 'Edit the file, choose, and delete the markers.',
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
        message: 'A migration is not as it was emitted. A database that has run it does not have the change.',
        where,
        remedy: 'Where it has run anywhere, take the file back, and put the change into a migration of its own.',
      },
    ]
  })
}

/** With the preview feature, the next migration that Prisma writes would drop them. */
function undeclaredIndexes({ root, migrations, schema }: Host, manifest: Manifest): Finding[] {
  if (!schema.previewFeatures.includes('partialIndexes')) return []
  const definitions: Definitions = new Map()
  for (const { folder } of Object.values(manifest.migrations))
    define(definitions, readText(root, hostJoin(migrations.path, folder, 'migration.sql')) ?? '', folder)
  const undeclared = [...definitions.values()].filter(
    ({ kind, name, text }) =>
      kind === 'index' && text?.includes('where') && !schema.files.some((file) => file.text.includes(`map: "${name}"`)),
  )
  if (undeclared.length === 0) return []
  return [
    {
      severity: 'error',
      code: 'INDEXES_UNDECLARED',
      message: `The schema switches on partialIndexes and does not declare ${undeclared.map(({ name }) => name).join(', ')}: the next migration that Prisma writes would drop them.`,
      where: schema.path,
      remedy: 'npx async-gen upgrade, which declares them',
    },
  ]
}

function lockFiles({ packageManager: { lockFiles: found, workspaceRoot, name } }: Host): Finding[] {
  if (found.length < 2) return []
  return [
    {
      severity: 'warning',
      code: 'LOCK_FILES',
      message: `There are ${found.length} lock files: ${found.join(', ')}. Their versions differ sooner or later.`,
      where: workspaceRoot,
      remedy: `Keep the one of ${name}, which async-gen goes by, and delete the others.`,
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
      message: `Two files are the task ${stem(file)}: Graphile Worker loads one of them.`,
      where: hostJoin(folder, file),
      remedy: 'Delete or rename one; build output does not belong beside its sources.',
    }))
}

function missingClient({ root }: Host, { settings }: Manifest): Finding[] {
  const { path } = parseClient(settings.client)
  if (isModuleName(path) || existsSync(join(root, path))) return []
  return [
    {
      severity: 'error',
      code: 'CLIENT_GONE',
      message: `The module that exported the PrismaClient is not there: ${path}.`,
      where: `${settings.dir}/database.ts`,
      remedy: 'Name the new one: npx async-gen install --client src/db.ts#prisma',
    },
  ]
}

function installedPackages(host: Host): Finding[] {
  const { root, packageJson, packageManager } = host
  const runtime = installedVersion(root, '@async-gen/runtime')
  const worker = installedVersion(root, 'graphile-worker')
  const missing = [
    { name: '@async-gen/runtime', found: runtime },
    { name: 'graphile-worker', found: worker },
  ].flatMap(({ name, found }): Finding[] => {
    const finding = { severity: 'error' as const, where: 'package.json' }
    if (!packageJson.packages.includes(name)) {
      const remedy = `npx async-gen doctor --fix, and then: ${packageManager.install}`
      return [{ ...finding, code: 'PACKAGE_NOT_NAMED', message: `package.json does not name ${name}.`, remedy }]
    }
    if (found) return []
    return [
      {
        ...finding,
        code: 'PACKAGE_NOT_INSTALLED',
        message: `${name} is not installed.`,
        remedy: packageManager.install,
      },
    ]
  })
  return [
    ...missing,
    ...(runtime ? runtimeFindings(runtime, packageManager.install) : []),
    ...(worker ? workerFindings(worker, host.node) : []),
  ]
}

function runtimeFindings(runtime: string, install: string): Finding[] {
  if (isIn(`${major(version)}.${minor(version)}.x`, runtime)) return []
  return [
    {
      severity: 'warning',
      code: 'RUNTIME_VERSION',
      message: `@async-gen/runtime ${runtime} is installed; this async-gen (${version}) writes for its own version.`,
      where: 'package.json',
      remedy: `npx async-gen upgrade, and then: ${install}`,
    },
  ]
}

/** A version before a release counts, too. A linked package may have none, and is in no range. */
function isIn(range: string, version: string): boolean {
  return satisfies(version, range, { includePrerelease: true })
}

function workerFindings(worker: string, node: string): Finding[] {
  if (isIn('<0.17.0-0', worker)) {
    return [
      {
        severity: 'error',
        code: 'WORKER_VERSION',
        message: `graphile-worker ${worker} is installed; async-gen works with 0.17 and 0.18.`,
        where: 'package.json',
        remedy: 'npm install graphile-worker@^0.17.3 (on Node 22.18 and later: @^0.18.0)',
      },
    ]
  }
  if (isIn('<0.18.0-0', worker) || runsGraphileWorker18(node)) return []
  return [
    {
      severity: 'error',
      code: 'WORKER_NODE',
      message: `graphile-worker ${worker} needs Node 22.18; this is ${node}.`,
      where: 'package.json',
      remedy: 'Raise Node, or: npm install graphile-worker@^0.17.3',
    },
  ]
}

function behind(manifest: Manifest): Finding[] {
  const remedy = 'npx async-gen diff shows what that brings; npx async-gen upgrade merges it'
  return [
    ...(gt(version, manifest.asyncGen)
      ? [
          {
            severity: 'warning' as const,
            code: 'BEHIND',
            message: `The files were written by async-gen ${manifest.asyncGen}; this is ${version}.`,
            remedy,
          },
        ]
      : []),
    ...staleTemplates(manifest).map((template) => ({
      severity: 'warning' as const,
      code: 'TEMPLATE_STALE',
      message: `Your template ${template} is older than ours.`,
      where: ejectedPath(template),
      remedy,
    })),
  ]
}

/** What Node would load from the host; null where there is nothing. Some packages do not export their package.json. */
function installedVersion(root: string, name: string): string | null {
  const { resolve } = createRequire(join(root, 'package.json'))
  for (const folder of resolve.paths(name) ?? []) {
    const file = join(folder, name, 'package.json')
    if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')).version
  }
  return null
}
