import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** Inside bench/, so that the programs find the peers. */
const FOLDER = here('.programs')

const SOURCES = { worker: here('queues/worker-process.ts'), crowd: here('crowd.ts') }

let compiling: Promise<unknown> | undefined

/**
 * Starts one of the programs of the benchmarks, with an IPC channel. It is compiled, and it imports the built runtime: a loader for TypeScript
 * would count as memory of the worker.
 */
export async function startProgram(name: keyof typeof SOURCES, args: string[]): Promise<ChildProcess> {
  compiling ??= compile()
  await compiling
  return fork(join(FOLDER, `${name}.js`), args, {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: ['--import', here('peers/resolve.mjs')],
  })
}

async function compile(): Promise<void> {
  await build({
    entryPoints: SOURCES,
    outdir: FOLDER,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    packages: 'external',
    // Without the paths of tsconfig.json, by which the runtime would be part of the program.
    tsconfigRaw: '{}',
    logLevel: 'error',
  })
}
