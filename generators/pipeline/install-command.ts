import { parse } from 'jsonc-parser'
import type { Host } from '../host/inspect.js'
import { packageFolder } from '../host/installed-package.js'
import { runtimeTarball, version } from '../host/own-package.js'

export const RUNTIME = '@async-gen/runtime'

/**
 * What installs the packages that package.json names. While the registry has no runtime, the range that `install` has put there
 * needs its tarball.
 *
 * @param packageJson the text that package.json has by then; as it is now where that does not change
 */
export function installCommand(
  { root, packageJson: { text, ranges }, packageManager: { name, install, add } }: Host,
  packageJson: string | null = text,
): string {
  const range: string = parse(packageJson ?? '')?.dependencies?.[RUNTIME] ?? ''
  if (!/^[\^~]?\d/.test(range) || packageFolder(root, RUNTIME)) return install
  const tarball = runtimeTarball(root, ranges['async-gen'])
  const path = tarball ?? `/path/to/async-gen/packages/async-gen-runtime-${version}.tgz`
  const command = `${add} ${quoted(name === 'npm' ? path : `${RUNTIME}@file:${path}`)}`
  const origin = tarball ? '' : '; `npm run pack`, in a clone of async-gen, makes this file'
  return `${command}   (${RUNTIME} is not on the npm registry yet${origin})`
}

/** An argument of a command, as shells take it. */
export function quoted(argument: string): string {
  return /^[\w./:@-]+$/.test(argument) ? argument : JSON.stringify(argument)
}
