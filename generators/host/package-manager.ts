import { detect, resolveCommand } from 'package-manager-detector'
import { workspaceOf } from './workspace.js'

export interface PackageManager {
  name: string
  /** Installs what package.json names: `pnpm install`. */
  install: string
  /** Runs a program of the host's node_modules: `pnpm exec`. */
  exec: string
  /** Where the lock file is: the root of the workspace. */
  workspaceRoot: string
  /** The lock files there: two of them disagree sooner or later. */
  lockFiles: string[]
}

/** The host's package manager, by its lock file or `packageManager` field, up to the root of its workspace. */
export async function packageManagerOf(root: string): Promise<PackageManager> {
  const { name, agent } = (await detect({ cwd: root })) ?? { name: 'npm', agent: 'npm' }
  const exec = resolveCommand(agent, 'execute-local', [])
  const workspace = workspaceOf(root)
  return {
    name,
    install: `${name} install`,
    exec: exec ? [exec.command, ...exec.args].join(' ') : 'npx',
    workspaceRoot: workspace.root,
    lockFiles: workspace.lockFiles,
  }
}
