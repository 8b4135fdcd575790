import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { detect } from 'package-manager-detector'
import { upwards } from './files.js'
import { workspaceOf } from './workspace.js'

export interface PackageManager extends Commands {
  name: string
  /** Whether Yarn has installed the packages with Plug'n'Play: there is no node_modules, and only Yarn can run programs of packages. */
  plugAndPlay: boolean
  /** The folder of the lock file, which is the root of the workspace. */
  workspaceRoot: string
  /** The lock files in that folder. Several can name different versions. */
  lockFiles: string[]
}

interface Commands {
  /** Installs the dependencies: `pnpm install`. */
  install: string
  /** Adds packages: `pnpm add`. */
  add: string
  /** Runs a program of an installed package: `pnpm exec`. */
  exec: string
  /** Runs a program of a package that it downloads: `pnpm dlx`. */
  download: string
}

const NPM: Commands = { install: 'npm install', add: 'npm install', exec: 'npx', download: 'npx' }

const COMMANDS: Record<string, Commands> = {
  npm: NPM,
  pnpm: { install: 'pnpm install', add: 'pnpm add', exec: 'pnpm exec', download: 'pnpm dlx' },
  yarn: { install: 'yarn install', add: 'yarn add', exec: 'yarn', download: 'yarn dlx' },
  bun: { install: 'bun install', add: 'bun add', exec: 'bunx', download: 'bunx' },
}

/** Detects the package manager by a lock file or the field `packageManager`, in the host and its parent folders. */
export async function packageManagerOf(root: string): Promise<PackageManager> {
  const { name } = (await detect({ cwd: root })) ?? { name: 'npm' }
  const workspace = workspaceOf(root)
  return {
    name,
    ...(COMMANDS[name] ?? { ...NPM, install: `${name} install` }),
    plugAndPlay: name === 'yarn' && usesPlugAndPlay(root),
    workspaceRoot: workspace.root,
    lockFiles: workspace.lockFiles,
  }
}

export function usesPlugAndPlay(root: string): boolean {
  return upwards(root).some((folder) => existsSync(join(folder, '.pnp.cjs')))
}

/** A text for the user that names commands of npm, with those of the host's package manager instead. */
export function withCommandsOf({ install, add, exec, download }: Commands, text: string): string {
  return text
    .replace(/\bnpx (?=async-gen@)/g, `${download} `)
    .replace(/\bnpx (?=(async-gen|async-gen-worker|prisma|tsc)\b)/g, `${exec} `)
    .replace(/\bnpm install (?=@?[a-z])/g, `${add} `)
    .replace(/\bnpm install\b(?! [@a-z/"])/g, install)
}
