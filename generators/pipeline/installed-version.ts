import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Host } from '../host/inspect.js'
import { version } from '../host/own-package.js'

/** A note if the project has installed another version of async-gen than this one. `npx` and CI use the installed one. */
export function otherVersion({
  root,
  packageJson,
  packageManager,
}: Pick<Host, 'root' | 'packageJson' | 'packageManager'>): string[] {
  const file = join(root, 'node_modules', 'async-gen', 'package.json')
  if (!packageJson.packages.includes('async-gen') || !existsSync(file)) return []
  const installed: string = JSON.parse(readFileSync(file, 'utf8')).version
  if (installed === version) return []
  return [
    `this is async-gen ${version}, but the project has installed ${installed}: run ${packageManager.exec} async-gen, or install async-gen@${version}`,
  ]
}
