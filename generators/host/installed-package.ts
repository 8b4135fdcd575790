import { existsSync, readFileSync } from 'node:fs'
import Module, { createRequire } from 'node:module'
import { join } from 'node:path'

/** What Yarn's Plug'n'Play adds to `node:module`, in the processes that it starts. */
interface PlugAndPlay {
  findPnpApi?(path: string): { resolveToUnqualified(request: string, issuer: string): string | null } | null
}

/** The folder of a package as Node finds it in the host; null if it is not installed. Not every package exports its package.json. */
export function packageFolder(root: string, name: string): string | null {
  const plugged = (Module as PlugAndPlay).findPnpApi?.(`${root}/`)
  if (plugged) {
    try {
      return plugged.resolveToUnqualified(name, `${root}/`)
    } catch {
      return null
    }
  }
  const folders = createRequire(join(root, 'package.json')).resolve.paths(name) ?? []
  return folders.map((folder) => join(folder, name)).find((folder) => existsSync(join(folder, 'package.json'))) ?? null
}

/** What a package says about itself. */
export interface InstalledPackage {
  version: string
  engines?: { node?: string }
}

/** The package.json of the package that Node would load in the host; null if it is not installed. */
export function installedPackage(root: string, name: string): InstalledPackage | null {
  const folder = packageFolder(root, name)
  return folder && JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
}

export function installedVersion(root: string, name: string): string | null {
  return installedPackage(root, name)?.version ?? null
}
