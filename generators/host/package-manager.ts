import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { detect, resolveCommand } from 'package-manager-detector'
import { upwards } from './files.js'

export interface PackageManager {
  name: string
  /** Installs what package.json names: `pnpm install`. */
  install: string
  /** Runs a program of the host's node_modules: `pnpm exec`. */
  exec: string
  /** Runs one that need not be installed: `pnpm dlx`. */
  dlx: string
  /** Runs a script of package.json: `pnpm run`. */
  run: string
  /** Where the lock file is: the root of the workspace. */
  workspaceRoot: string
  /** The lock files there: two of them disagree sooner or later. */
  lockFiles: string[]
}

/** The host's package manager, by its lock file or `packageManager` field, up to the root of its workspace. */
export async function packageManagerOf(root: string): Promise<PackageManager> {
  const { name, agent } = (await detect({ cwd: root })) ?? { name: 'npm', agent: 'npm' }
  const command = (what: 'execute-local' | 'execute' | 'run', fallback: string) => {
    const resolved = resolveCommand(agent, what, [])
    return resolved ? [resolved.command, ...resolved.args].join(' ') : fallback
  }
  const workspaceRoot = upwards(root).find((folder) => lockFilesIn(folder).length > 0) ?? root
  return {
    name,
    install: `${name} install`,
    exec: command('execute-local', 'npx'),
    dlx: command('execute', 'npx'),
    run: command('run', 'npm run'),
    workspaceRoot,
    lockFiles: lockFilesIn(workspaceRoot),
  }
}

const LOCK_FILES = [
  'package-lock.json',
  'npm-shrinkwrap.json',
  'pnpm-lock.yaml',
  'yarn.lock',
  'bun.lock',
  'bun.lockb',
  'deno.lock',
]

function lockFilesIn(folder: string): string[] {
  return LOCK_FILES.filter((file) => existsSync(join(folder, file)))
}
