import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of this package, for the built files in dist/ and for the sources. */
const folder = folderWith('package.json', dirname(fileURLToPath(import.meta.url)))

export const version: string = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version

export const templates = join(folder, 'templates')

/**
 * The runtime's tarball that `npm run pack` has put beside the one that this package was installed from, if it was.
 *
 * @param range what the host's package.json says about async-gen: `file:../async-gen/packages/async-gen-0.1.0.tgz`
 */
export function runtimeTarball(root: string, range = ''): string | undefined {
  const [, tarball] = /^(?:file:)?(.+\.tgz)$/.exec(range) ?? []
  const runtime = tarball && resolve(root, dirname(tarball), `async-gen-runtime-${version}.tgz`)
  return runtime && existsSync(runtime) ? runtime : undefined
}

function folderWith(file: string, start: string): string {
  return existsSync(join(start, file)) ? start : folderWith(file, dirname(start))
}
