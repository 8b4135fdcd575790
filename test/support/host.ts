import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type RunOptions, run } from './run.js'

/** One prisma/schema.prisma, or a folder prisma/schema/ with a file for each concern. */
export type Shape = 'single' | 'folder'

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))

/** The shop with everything generated in it, made by `npm run test:prepare`. */
export const APP = join(REPOSITORY, 'test', '.app')

/** What `npm run test:prepare` packed: the tarballs that npm would publish. */
export const PACKAGES = join(REPOSITORY, 'test', '.packages')

const HOSTS = join(REPOSITORY, 'test', 'hosts')
const MODELS = join(HOSTS, 'shop', 'models')

/** Puts a shape of the shop together in `dir`. Nothing is installed and nothing is generated. */
export function assembleHost(shape: Shape, dir: string) {
  mkdirSync(dir, { recursive: true })
  cpSync(join(HOSTS, 'shop'), dir, { recursive: true, filter: (path) => path !== MODELS })
  cpSync(join(HOSTS, shape), dir, { recursive: true })
  // Under its own name it would already apply in this repository.
  renameSync(join(dir, 'gitignore'), join(dir, '.gitignore'))

  if (shape === 'folder') cpSync(MODELS, join(dir, 'prisma', 'schema'), { recursive: true })
  else for (const file of readdirSync(MODELS).sort()) appendModels(dir, file)
}

function appendModels(dir: string, file: string) {
  appendFileSync(join(dir, 'prisma', 'schema.prisma'), `\n${readFileSync(join(MODELS, file), 'utf8')}`)
}

/** Installs a host's dependencies and the packed CLI and runtime, as `npm install` of the published packages would. */
export async function installHost(dir: string) {
  const tarballs = readdirSync(PACKAGES).map((file) => join(PACKAGES, file))
  // Unsaved, so that package.json says no more than the application's own author wrote; no scripts, as none is needed.
  const flags = ['--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
  await run(dir, 'npm', ['install', ...flags, ...tarballs, `graphile-worker@${graphileWorkerRange()}`])
}

/** graphile-worker 0.18 needs Node 22.18. */
function graphileWorkerRange() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return major > 22 || (major === 22 && minor >= 18) ? '^0.18.0' : '^0.17.3'
}

/** Runs the CLI that is installed in the host. */
export function npxAsyncGen(dir: string, args: string[], options: RunOptions = {}) {
  return run(dir, 'npx', ['--no', 'async-gen', ...args], options)
}

/** Runs the built CLI of this repository in a host that has it not installed. */
export function asyncGen(dir: string, args: string[], options: RunOptions = {}) {
  return run(dir, process.execPath, [join(REPOSITORY, 'dist', 'bin', 'async-gen.js'), ...args], options)
}
