import { readFileSync } from 'node:fs'

/** The version of this package; the sources and the built files are equally deep in its folder. Unknown inside a bundle. */
export const version: string = read()

function read(): string {
  try {
    return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
  } catch {
    return 'unknown'
  }
}
