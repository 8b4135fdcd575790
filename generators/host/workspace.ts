import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { hostPath, readText, upwards } from './files.js'

const LOCK_FILES = [
  'package-lock.json',
  'npm-shrinkwrap.json',
  'pnpm-lock.yaml',
  'yarn.lock',
  'bun.lock',
  'bun.lockb',
  'deno.lock',
]

export interface Workspace {
  /** The folder of the lock file; the host itself if there is none. */
  root: string
  /** The lock files in that folder. Several can name different versions. */
  lockFiles: string[]
}

export function workspaceOf(host: string): Workspace {
  const root = upwards(host).find((folder) => lockFilesIn(folder).length > 0) ?? host
  return { root, lockFiles: lockFilesIn(root) }
}

/** A remedy that names the packages of the workspace with Prisma, such as `packages/db`; undefined if there is none. */
export function prismaElsewhere(host: string): string | undefined {
  const { root } = workspaceOf(host)
  const named = foldersIn(root, 3).filter(
    (folder) => folder !== host && /"prisma"\s*:/.test(readText(folder, 'package.json') ?? ''),
  )
  // An application may depend on prisma only for its command. A package with a schema is the better choice.
  const withSchema = named.filter((folder) => schemasIn(folder).length > 0)
  const folders = withSchema.length > 0 ? withSchema : named
  if (folders.length === 0) return undefined
  const commands = folders.slice(0, SHOWN).map((folder) => `npx async-gen install --cwd ${hostPath(host, folder)}`)
  if (folders.length === 1)
    return `Run async-gen in the package of this workspace that has the Prisma schema: ${commands[0]}`
  const more = folders.length > SHOWN ? ` (and ${folders.length - SHOWN} more)` : ''
  return `Run async-gen in a package with a Prisma schema. ${folders.length} packages of this workspace have one; choose yours:\n${commands.map((command) => `  ${command}`).join('\n')}${more}`
}

const SHOWN = 3

/** The Prisma schemas of a folder, relative to it: files, or folders with several files. */
export function schemasIn(root: string): string[] {
  return ['.', ...foldersIn(root, 4).map((folder) => hostPath(root, folder))].flatMap((folder) => {
    const files = readdirSync(join(root, folder)).filter((name) => name.endsWith('.prisma'))
    return files.length > 1 ? [folder] : files.map((name) => hostPath(root, join(root, folder, name)))
  })
}

function foldersIn(folder: string, depth: number): string[] {
  if (depth === 0) return []
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !/^(\..*|node_modules|dist|build|generated)$/.test(entry.name))
    .map((entry) => join(folder, entry.name))
    .flatMap((inner) => [inner, ...foldersIn(inner, depth - 1)])
}

function lockFilesIn(folder: string): string[] {
  return LOCK_FILES.filter((file) => existsSync(join(folder, file)))
}
