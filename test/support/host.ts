import { createHash } from 'node:crypto'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { answerTo } from '../../bin/answer.js'
import { eventually } from './eventually.js'
import { type RunOptions, run } from './run.js'
import { seedPackages } from './seed.js'

/**
 * One prisma/schema.prisma, or a folder prisma/schema/ with a file for each concern; Prisma 6 with each of its generators, without a
 * prisma.config.
 */
export type Shape = 'single' | 'folder' | 'prisma-6' | 'prisma-6-js'

/** The versions of Prisma 6 in the hosts of those shapes: its last one, and the first that async-gen supports. */
export const PRISMA_6 = { 'prisma-6': '6.19.3', 'prisma-6-js': '6.16.0' }

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))

/** The shop with everything generated in it, made by `npm run test:prepare`. */
export const APP = join(REPOSITORY, 'test', '.app')

/** What `npm run test:prepare` packed: the tarballs that npm would publish. */
export const PACKAGES = join(REPOSITORY, 'test', '.packages')

export const HOSTS = join(REPOSITORY, 'test', 'hosts')
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
  if (shape === 'prisma-6' || shape === 'prisma-6-js') usePrisma6(dir, PRISMA_6[shape])
}

function usePrisma6(dir: string, version: string) {
  const file = join(dir, 'package.json')
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, text.replaceAll(/("@?prisma(?:\/[\w-]+)?": )"[^"]+"/g, `$1"${version}"`))
}

function appendModels(dir: string, file: string) {
  appendFileSync(join(dir, 'prisma', 'schema.prisma'), `\n${readFileSync(join(MODELS, file), 'utf8')}`)
}

/**
 * Installs a host's dependencies and the packed CLI and runtime, as `npm install` of the published packages would. npm runs once for all
 * test files whose hosts have the same package.json; the others get hard links to what it has installed.
 */
export async function installHost(dir: string) {
  const shared = process.env.TEST_MODULES
  if (!shared || process.platform !== 'linux') return await npmInstall(dir)
  const packageJson = readFileSync(join(dir, 'package.json'), 'utf8')
  const folder = join(shared, createHash('sha256').update(packageJson).digest('hex').slice(0, 12))
  if (claimFolder(folder)) await installInto(folder, packageJson)
  else await eventually('the install of another test file', async () => isInstalled(folder), 600_000)
  await run(dir, 'cp', ['-RPl', join(folder, 'node_modules'), join(dir, 'node_modules')])
}

async function installInto(folder: string, packageJson: string) {
  try {
    writeFileSync(join(folder, 'package.json'), packageJson)
    seedPackages(folder)
    await npmInstall(folder)
    writeFileSync(join(folder, 'installed'), '')
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

function isInstalled(folder: string): boolean {
  if (!existsSync(folder)) throw new Error('The install in another test file failed: read its error.')
  return existsSync(join(folder, 'installed'))
}

/** Whether this process made the folder: only one of them can. */
function claimFolder(folder: string): boolean {
  try {
    mkdirSync(folder)
    return true
  } catch {
    return false
  }
}

async function npmInstall(dir: string) {
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

/** Runs the CLI that is installed in the host, as `npx async-gen` would. */
export function installedAsyncGen(dir: string, args: string[], options: RunOptions = {}) {
  return run(dir, join(dir, 'node_modules', '.bin', 'async-gen'), args, options)
}

/**
 * Runs the CLI of this repository in a host that has it not installed. It runs in this process, as a process of its own would load all of it
 * each time.
 */
export async function asyncGen(dir: string, args: string[], { exitCodes = [0] }: Pick<RunOptions, 'exitCodes'> = {}) {
  const { exitCode, ...printed } = await answerTo([...args, ...(args.includes('--yes') ? [] : ['--yes']), '--cwd', dir])
  const [stdout, stderr] = [stripVTControlCharacters(printed.stdout), stripVTControlCharacters(printed.stderr)]
  if (exitCodes.includes(exitCode)) return { stdout, stderr }
  throw new Error(`async-gen ${args.join(' ')} (in ${dir}) ended with ${exitCode}\n${stdout}${stderr}`)
}
