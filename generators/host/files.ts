import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, join, relative, sep, win32 } from 'node:path'
import { HostError } from './errors.js'

export type Eol = '\n' | '\r\n'

/**
 * The text of a file of the host, or null if it does not exist.
 *
 * @throws HostError FILE_UNREADABLE, for example if the path is a folder or the permission is missing
 */
export function readText(root: string, path: string): string | null {
  const file = join(root, path)
  if (!existsSync(file)) return null
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new HostError({
      code: 'FILE_UNREADABLE',
      message: isFolder(file)
        ? `${path} is a folder; async-gen expects a file there.`
        : `async-gen cannot read ${path}: ${(error as Error).message}.`,
      where: path,
      remedy: 'Rename the folder, or make the file readable; then run the command again.',
    })
  }
}

/** The part of a path at which a file stands where the path needs a folder; undefined if there is none. */
export function fileInPath(root: string, path: string): string | undefined {
  const parts = path.split('/')
  const prefixes = parts.map((_, index) => parts.slice(0, index + 1).join('/'))
  return prefixes.find((prefix) => statSync(join(root, prefix), { throwIfNoEntry: false })?.isFile())
}

export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

/** The path in the form that plan, manifest and output use: relative to the host, with forward slashes. */
export function hostPath(root: string, file: string): string {
  return relative(root, file).split(sep).join('/')
}

/** The line ending of a text; LF for a text without one. */
export function eolOf(text: string): Eol {
  return /\r?\n/.exec(text)?.[0] === '\r\n' ? '\r\n' : '\n'
}

export function withEol(text: string, eol: Eol): string {
  return text.replace(/\r?\n/g, eol)
}

/** Compares without line endings: a checkout with autocrlf is not an edit. */
export function sameText(a: string, b: string): boolean {
  return withEol(a, '\n') === withEol(b, '\n')
}

/** The folder and its parents, up to the root of the repository: configuration above it does not belong to the project. */
export function upwards(folder: string): string[] {
  const parent = dirname(folder)
  return existsSync(join(folder, '.git')) || parent === folder ? [folder] : [folder, ...upwards(parent)]
}

/** Whether the path is relative and stays inside the host. Links are not followed. */
export function isHostPath(path: unknown): path is string {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) return false
  // Also refused on Linux: paths that are absolute on Windows, such as `C:\\x` and `/x`.
  return !win32.isAbsolute(path) && !/^[a-z]:/i.test(path) && !path.split(/[\\/]/).includes('..')
}

/** The folder of a file that need not exist, with links followed. */
export function realFolder(file: string): string {
  return existsSync(file) ? dirname(realpathSync(file)) : realpathSync(nearestExisting(dirname(file)))
}

export function isUnder(root: string, folder: string): boolean {
  return `${folder}${sep}`.startsWith(`${realpathSync(root)}${sep}`)
}

function nearestExisting(folder: string): string {
  return existsSync(folder) ? folder : nearestExisting(dirname(folder))
}
