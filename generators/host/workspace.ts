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
  /** Where the lock file is; the host itself where there is none. */
  root: string
  /** The lock files there: two of them disagree sooner or later. */
  lockFiles: string[]
}

export function workspaceOf(host: string): Workspace {
  const root = upwards(host).find((folder) => lockFilesIn(folder).length > 0) ?? host
  return { root, lockFiles: lockFilesIn(root) }
}

/** Where else the code may go: the package of the host's workspace that has Prisma, such as `packages/db`. */
export function prismaElsewhere(host: string): string | undefined {
  const { root } = workspaceOf(host)
  const commands = foldersIn(root, 3)
    .filter((folder) => folder !== host && /"prisma"\s*:/.test(readText(folder, 'package.json') ?? ''))
    .map((folder) => `npx async-gen install --cwd ${hostPath(host, folder)}`)
  if (commands.length === 0) return undefined
  return `The code goes beside the schema, in the package of this workspace that has it: ${commands.join(', or ')}`
}

function foldersIn(folder: string, depth: number): string[] {
  if (depth === 0) return []
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !/^(\..*|node_modules)$/.test(entry.name))
    .map((entry) => join(folder, entry.name))
    .flatMap((inner) => [inner, ...foldersIn(inner, depth - 1)])
}

function lockFilesIn(folder: string): string[] {
  return LOCK_FILES.filter((file) => existsSync(join(folder, file)))
}
