import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { REPOSITORY } from './host.js'

const SOURCES = ['bin', 'generators', 'runtime/src', 'test/.app/src', 'test/chaos/host', 'test/flow/host']

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
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) }
}

/** Where the compiled program of a source file is: `compiled('test/chaos/host/worker.ts')`. */
export function compiled(source: string): string {
  return join(process.env.TEST_PROGRAMS!, compiledName(source))
}

/** The packages are laid out as they are published. */
function compiledName(source: string): string {
  return source
    .replace(/^runtime\/src\//, 'runtime/dist/')
    .replace(/^(bin|generators)\//, 'dist/$1/')
    .replace(/\.ts$/, '.js')
}

function modulesIn(folder: string): string[] {
  return readdirSync(join(REPOSITORY, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(folder, file))
}
