import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of this package, for the built files in dist/ and for the sources. */
const folder = folderWith('package.json', dirname(fileURLToPath(import.meta.url)))

export const version: string = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version

export const templates = join(folder, 'templates')

function folderWith(file: string, start: string): string {
  return existsSync(join(start, file)) ? start : folderWith(file, dirname(start))
}
