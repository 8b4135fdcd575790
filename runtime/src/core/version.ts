import { readFileSync } from 'node:fs'

/** The version of this package; `unknown` inside a bundle. `src` and `dist` have the same depth in its folder. */
export const version: string = read()

function read(): string {
  try {
    return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
  } catch {
    return 'unknown'
  }
}
