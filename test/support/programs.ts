import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { REPOSITORY } from './host.js'

const SOURCES = ['bin', 'generators', 'runtime/src', 'test/.app/src', 'test/chaos/host', 'test/flow/host']

/** What starts as a program, or is loaded by one while it runs. */
const PROGRAMS = [
  ...['test/chaos/host', 'test/flow/host'].flatMap((folder) => modulesIn(folder)),
  'runtime/src/bin/async-gen-worker.ts',
  'runtime/src/bin/read-database.ts',
]

/** The folder of the bundled programs. */
const BUNDLED = 'bundled'

/**
 * Compiles the command lines, the runtime and the application of the fault tests for one run of the tests. Node starts a program from
 * there in half the time that tsx needs.
 */
export async function compilePrograms() {
  // Inside the repository, so that the programs find their packages.
  const dir = mkdtempSync(join(REPOSITORY, 'test', '.programs-'))
  await build({
    entryPoints: SOURCES.flatMap((folder) => modulesIn(folder)).map((file) => ({
      in: join(REPOSITORY, file),
      out: compiledName(file).replace(/\.js$/, ''),
    })),
    outdir: dir,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
  })
  for (const file of ['package.json', 'templates', 'runtime/package.json']) {
    mkdirSync(join(dir, 'runtime'), { recursive: true })
    cpSync(join(REPOSITORY, file), join(dir, file), { recursive: true })
  }
  mkdirSync(join(dir, 'node_modules', '@async-gen'), { recursive: true })
  symlinkSync(join(dir, 'runtime'), join(dir, 'node_modules', '@async-gen', 'runtime'), 'dir')
  await bundlePrograms(join(dir, BUNDLED))
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) }
}

/** Bundles the workers of the tests with all of their packages, as some hosts do: they start with half of the work. What several use is shared. */
async function bundlePrograms(outdir: string): Promise<void> {
  const programs = PROGRAMS.map((file): [string, string] => [join(REPOSITORY, file), compiledName(file)])
  // As deep as the modules that look for the package.json of the runtime.
  await bundle(programs, outdir, 'runtime/dist/chunks')
  cpSync(join(REPOSITORY, 'runtime', 'package.json'), join(outdir, 'runtime', 'package.json'))
  for (const file of PROGRAMS) {
    // Commands import only modules that mention it. In the bundle, the class is in a chunk.
    const hasAttempts = /\bextends BaseAttempt\b/.test(readFileSync(join(REPOSITORY, file), 'utf8'))
    if (hasAttempts) appendFileSync(join(outdir, compiledName(file)), '// extends BaseAttempt\n')
  }
}

/**
 * Bundles programs that share one runtime.
 *
 * @param programs the file of each, and what it is called in `outdir`
 * @param chunks the folder in `outdir` of what several of them use
 */
export async function bundle(programs: [file: string, name: string][], outdir: string, chunks: string): Promise<void> {
  await build({
    entryPoints: programs.map(([file, name]) => ({ in: file, out: name.replace(/\.js$/, '') })),
    outdir,
    bundle: true,
    splitting: true,
    chunkNames: `${chunks}/[hash]`,
    alias: { '@async-gen/runtime': join(REPOSITORY, 'runtime', 'src', 'index.ts') },
    platform: 'node',
    format: 'esm',
    target: 'node20',
    // Packages that are CommonJS modules call it.
    banner: {
      js: "import { createRequire as requireFor } from 'node:module'; const require = requireFor(import.meta.url)",
    },
    logLevel: 'error',
  })
}

/** Where the bundled program of a source file is: `bundled('test/chaos/host/worker.ts')`. */
export function bundled(source: string): string {
  return join(process.env.TEST_PROGRAMS!, BUNDLED, compiledName(source))
}

/** Where a source file is compiled, for a test that loads it in its own process: `compiled('test/chaos/host/worker.ts')`. */
export function compiled(source: string): string {
  return join(process.env.TEST_PROGRAMS!, compiledName(source))
}

/** The packages are laid out as they are published. */
function compiledName(source: string): string {
  return source
    .replace(/^runtime\/src\//, 'runtime/dist/')
    .replace(/^(bin|generators)\//, 'dist/$1/')
    .replace(/\.tsx?$/, '.js')
}

function modulesIn(folder: string): string[] {
  return readdirSync(join(REPOSITORY, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.tsx?$/.test(file))
    .map((file) => join(folder, file))
}
