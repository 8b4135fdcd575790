import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, join, relative, sep, win32 } from 'node:path'

export type Eol = '\n' | '\r\n'

/** The text of a file of the host, or null where there is none. */
export function readText(root: string, path: string): string | null {
  const file = join(root, path)
  return existsSync(file) ? readFileSync(file, 'utf8') : null
}

export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

/** A path as the plan, the manifest and the output spell it: relative to the host, with forward slashes. */
export function hostPath(root: string, file: string): string {
  return relative(root, file).split(sep).join('/')
}

/** The line ending of a text; a text without one says nothing, so LF. */
export function eolOf(text: string): Eol {
  return /\r?\n/.exec(text)?.[0] === '\r\n' ? '\r\n' : '\n'
}

export function withEol(text: string, eol: Eol): string {
  return text.replace(/\r?\n/g, eol)
}

/** Equal but for line endings: a checkout with autocrlf is no edit. */
export function sameText(a: string, b: string): boolean {
  return withEol(a, '\n') === withEol(b, '\n')
}

/** The folder and those above it, to the root of the repository: configuration beyond that is somebody else's. */
export function upwards(folder: string): string[] {
  const parent = dirname(folder)
  return existsSync(join(folder, '.git')) || parent === folder ? [folder] : [folder, ...upwards(parent)]
}

/** Whether it names something inside of the host, as it is written: links are not followed. */
export function isHostPath(path: unknown): path is string {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) return false
  // What is absolute on Windows, `C:\\x` and `/x`, is nothing relative anywhere.
  return !win32.isAbsolute(path) && !/^[a-z]:/i.test(path) && !path.split(/[\\/]/).includes('..')
}

/** The folder that a file is in, or would be in, with links followed. */
export function realFolder(file: string): string {
  return existsSync(file) ? dirname(realpathSync(file)) : realpathSync(nearestExisting(dirname(file)))
}

export function isUnder(root: string, folder: string): boolean {
  return `${folder}${sep}`.startsWith(`${realpathSync(root)}${sep}`)
}

function nearestExisting(folder: string): string {
  return existsSync(folder) ? folder : nearestExisting(dirname(folder))
}
