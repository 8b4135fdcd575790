import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type RunOptions, run } from './run.js'

/** One prisma/schema.prisma, or a folder prisma/schema/ with a file for each concern. */
export type Shape = 'single' | 'folder'

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))

/** The shop with everything generated in it, made by `npm run test:prepare`. */
export const APP = join(REPOSITORY, 'test', '.app')

const HOSTS = join(REPOSITORY, 'test', 'hosts')

/** Puts a shape of the shop together in `dir`. Nothing is installed and nothing is generated. */
export function assembleHost(shape: Shape, dir: string) {
  mkdirSync(dir, { recursive: true })
  cpSync(join(HOSTS, 'shop'), dir, { recursive: true, filter: (path) => path !== join(HOSTS, 'shop', 'models') })
  cpSync(join(HOSTS, shape), dir, { recursive: true })
  // A .gitignore in the repository would already apply there.
  renameSync(join(dir, 'gitignore'), join(dir, '.gitignore'))

  const models = join(HOSTS, 'shop', 'models')
  if (shape === 'folder') cpSync(models, join(dir, 'prisma', 'schema'), { recursive: true })
  else {
    for (const file of readdirSync(models).sort()) {
      appendFileSync(join(dir, 'prisma', 'schema.prisma'), `\n${readFileSync(join(models, file), 'utf8')}`)
    }
  }
}

/** Runs the built CLI of this repository in a host. */
export function asyncGen(dir: string, args: string[], options: RunOptions = {}) {
  return run(dir, process.execPath, [join(REPOSITORY, 'dist', 'bin', 'async-gen.js'), ...args], options)
}
