import { detect, resolveCommand } from 'package-manager-detector'
import { workspaceOf } from './workspace.js'

export interface PackageManager {
  name: string
  /** The command that installs the dependencies: `pnpm install`. */
  install: string
  /** The command that runs a program from node_modules: `pnpm exec`. */
  exec: string
  /** The folder of the lock file, which is the root of the workspace. */
  workspaceRoot: string
  /** The lock files in that folder. Several can name different versions. */
  lockFiles: string[]
}

/** Detects the package manager by a lock file or the field `packageManager`, in the host and its parent folders. */
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
