import { existsSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, extname, join, relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { AsyncGenError } from '../core/errors.js'

/** Where a worker module is looked for, beside the folder that async-gen remembers: sources first, then what was built. */
const FOLDERS = ['src/async', 'async', 'dist/async', 'dist/src/async', 'build/async', 'build/src/async']

const EXTENSIONS = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs']

/**
 * The host's worker module, as an absolute path: the file that was named, or the one that is found.
 *
 * @param root the host's folder
 */
export function findWorkerModule(root: string, named: string | undefined): string {
  if (named !== undefined) {
    const file = resolve(root, named)
    if (isModule(file)) return file
    throw new AsyncGenError(
      'NO_WORKER_MODULE',
      existsSync(file) ? `${file} is no JavaScript or TypeScript file.` : `There is no ${named} in ${root}.`,
    )
  }
  const remembered = rememberedFolder(root)
  const folders = [...(remembered ? [remembered] : []), ...FOLDERS]
  const candidates = folders.flatMap((folder) =>
    EXTENSIONS.map((extension) => join(root, folder, `worker${extension}`)),
  )
  const existing = candidates.filter(isModule)
  // Where only production dependencies are installed, sources cannot be run, but what was built can.
  const found = existing.find((file) => canRun(file)) ?? existing[0]
  if (found) return found
  throw new AsyncGenError(
    'NO_WORKER_MODULE',
    `No worker module was found in ${root}: neither ${folders.join('/worker, ')}/worker. ` +
      'Name it: async-gen-worker run path/to/worker.ts. If there is none: npx async-gen install',
  )
}

/** Runs a module of the host's, TypeScript included where tsx is installed, and returns what it exports. */
export async function loadModule(file: string): Promise<Record<string, unknown>> {
  if (isCommonTypeScript(file)) {
    throw new AsyncGenError(
      'NO_TYPESCRIPT',
      `${relative(process.cwd(), file)} is CommonJS by its name, and tsx does not run such a file together with packages that are ES modules. ` +
        'Call it worker.ts, and its tasks likewise, or name the file that was built from it.',
    )
  }
  if (isTypeScript(file) && !runsTypeScript()) {
    const tsx = resolveTsx(file)
    if (!tsx) {
      throw new AsyncGenError(
        'NO_TYPESCRIPT',
        `${relative(process.cwd(), file)} is TypeScript, and tsx is not installed. Install it, or name the file that was built from it.`,
      )
    }
    await import(pathToFileURL(tsx).href)
  }
  return await import(pathToFileURL(file).href)
}

function isModule(file: string): boolean {
  return /^\.[cm]?[jt]s$/.test(extname(file)) && (statSync(file, { throwIfNoEntry: false })?.isFile() ?? false)
}

/** The folder that async-gen wrote to, where its manifest can be read and the folder is inside of the host. */
function rememberedFolder(root: string): string | undefined {
  try {
    const { dir } = JSON.parse(readFileSync(join(root, '.async-gen', 'manifest.json'), 'utf8')).settings
    return relative(root, resolve(root, dir)).startsWith('..') ? undefined : dir
  } catch {
    return undefined
  }
}

function canRun(file: string): boolean {
  if (isCommonTypeScript(file)) return false
  return !isTypeScript(file) || runsTypeScript() || resolveTsx(file) !== undefined
}

function isCommonTypeScript(file: string): boolean {
  return extname(file) === '.cts' && !('bun' in process.versions)
}

function isTypeScript(file: string): boolean {
  return /^\.[cm]?ts$/.test(extname(file))
}

/** Whether this process runs TypeScript as it is: under Bun, or started with tsx. */
function runsTypeScript(): boolean {
  return 'bun' in process.versions || process.execArgv.some((argument) => /\btsx\b/.test(argument))
}

function resolveTsx(file: string): string | undefined {
  try {
    return createRequire(join(dirname(file), 'package.json')).resolve('tsx')
  } catch {
    return undefined
  }
}
