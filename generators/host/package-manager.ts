import { detect, resolveCommand } from 'package-manager-detector'

export interface PackageManager {
  name: string
  /** Installs what package.json names: `pnpm install`. */
  install: string
  /** Runs a program of the host's node_modules: `pnpm exec`. */
  exec: string
}

/** The host's package manager, by its lock file or `packageManager` field, up to the root of its workspace. */
export async function packageManagerOf(root: string): Promise<PackageManager> {
  const { name, agent } = (await detect({ cwd: root })) ?? { name: 'npm', agent: 'npm' }
  const exec = resolveCommand(agent, 'execute-local', [])
  return { name, install: `${name} install`, exec: exec ? [exec.command, ...exec.args].join(' ') : 'npx' }
}
