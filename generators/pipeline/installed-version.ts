import type { Host } from '../host/inspect.js'
import { installedVersion } from '../host/installed-package.js'
import { version } from '../host/own-package.js'

/** A note if the project has installed another version of async-gen than this one. `npx` and CI use the installed one. */
export function otherVersion({
  root,
  packageJson,
  packageManager,
}: Pick<Host, 'root' | 'packageJson' | 'packageManager'>): string[] {
  const installed = packageJson.packages.includes('async-gen') ? installedVersion(root, 'async-gen') : null
  if (installed === null || installed === version) return []
  return [
    `this is async-gen ${version}, but the project has installed ${installed}: run ${packageManager.exec} async-gen, or install async-gen@${version}`,
  ]
}
