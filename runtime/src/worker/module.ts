import { existsSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, extname, join, relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { AsyncGenError } from '../core/errors.js'

/** The folders that may contain the worker module, after the one in async-gen's manifest: sources first, then built files. */
const FOLDERS = ['src/async', 'async', 'dist/async', 'dist/src/async', 'build/async', 'build/src/async']

const EXTENSIONS = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs']

/**
 * Finds the host's worker module. Returns its absolute path.
 *
 * @param root the host's folder
 * @param named the path that the user gave, if any
 * @throws AsyncGenError NO_WORKER_MODULE
 */
export function findWorkerModule(root: string, named: string | undefined): string {
  if (named !== undefined) {
    const file = resolve(root, named)
    if (isModule(file)) return file
    throw new AsyncGenError(
      'NO_WORKER_MODULE',
      existsSync(file) ? `${file} is not a JavaScript or TypeScript file.` : `${named} does not exist in ${root}.`,
    )
  }
  const remembered = rememberedFolder(root)
  const folders = [...(remembered ? [remembered] : []), ...FOLDERS]
  const candidates = folders.flatMap((folder) =>
    EXTENSIONS.map((extension) => join(root, folder, `worker${extension}`)),
  )
  const existing = candidates.filter(isModule)
  // Without development dependencies, only built files can run.
  const found = existing.find((file) => canRun(file)) ?? existing[0]
  if (found) return found
  throw new AsyncGenError(
    'NO_WORKER_MODULE',
    `No worker module was found in ${root}. Searched: ${folders.join('/worker, ')}/worker. ` +
      'Give its path: async-gen-worker run path/to/worker.ts. To create one: npx async-gen install',
  )
}

/**
 * Imports a module of the host's, and returns its exports. TypeScript needs tsx.
 * @throws AsyncGenError NO_TYPESCRIPT
 */
export async function loadModule(file: string): Promise<Record<string, unknown>> {
  if (isCommonTypeScript(file)) {
    throw new AsyncGenError(
      'NO_TYPESCRIPT',
      `${relative(process.cwd(), file)} is a CommonJS file, and tsx cannot run it together with packages that are ES modules. ` +
        'Rename it to worker.ts, and its tasks likewise, or give the path of the built file.',
    )
  }
  if (isTypeScript(file) && !runsTypeScript()) {
    const tsx = resolveTsx(file)
    if (!tsx) {
      throw new AsyncGenError(
        'NO_TYPESCRIPT',
        `${relative(process.cwd(), file)} is TypeScript, and tsx is not installed. Install tsx, or give the path of the built file.`,
      )
    }
    await import(pathToFileURL(tsx).href)
  }
  return await import(pathToFileURL(file).href)
}

function isModule(file: string): boolean {
  return /^\.[cm]?[jt]s$/.test(extname(file)) && (statSync(file, { throwIfNoEntry: false })?.isFile() ?? false)
}

/** The folder in async-gen's manifest, if the manifest can be read and the folder is inside of the host. */
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

/** Whether this process can import TypeScript: it is Bun, or was started with tsx. */
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
