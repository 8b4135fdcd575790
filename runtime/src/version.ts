import { readFileSync } from 'node:fs'

/** The version of this package; the sources and the built files are equally deep in its folder. */
export const version: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version
