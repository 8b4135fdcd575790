import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type RunOptions, run } from './run.js'

const STAND_IN = fileURLToPath(new URL('schema-engine.mjs', import.meta.url))

/** The schema engine that Prisma's commands use here: the native one where it runs, else the stand-in. */
const schemaEngine = findNativeEngine() ?? STAND_IN

/** Says in one line which schema engine the migrations go through. */
export const schemaEngineLine =
  schemaEngine === STAND_IN
    ? 'Prisma Migrate: schema engine as WebAssembly (test/support/schema-engine.mjs), for want of the native one'
    : `Prisma Migrate: native schema engine (${schemaEngine})`

/** With these, no Prisma command downloads anything or calls home. */
export const prismaEnv = {
  PRISMA_SCHEMA_ENGINE_BINARY: schemaEngine,
  PRISMA_HIDE_UPDATE_MESSAGE: '1',
  CHECKPOINT_DISABLE: '1',
}

/** Runs the host's own Prisma CLI in it: `await prisma(dir, ['migrate', 'deploy'], { env: { DATABASE_URL: url } })`. */
export function prisma(dir: string, args: string[], options: RunOptions = {}) {
  const cli = createRequire(join(dir, 'package.json')).resolve('prisma/build/index.js')
  return run(dir, process.execPath, [cli, ...args], { ...options, env: { ...prismaEnv, ...options.env } })
}

function findNativeEngine() {
  const installed = dirname(createRequire(import.meta.url).resolve('@prisma/engines/package.json'))
  const candidates = readdirSync(installed).filter((name) => name.startsWith('schema-engine-'))
  const named = process.env.PRISMA_SCHEMA_ENGINE_BINARY
  return [...(named ? [named] : []), ...candidates.map((name) => join(installed, name))].find(
    (path) => spawnSync(path, ['--version']).status === 0,
  )
}

/** Runs the Prisma 7 of `@prisma/prisma7` in a host. */
export function prisma7(dir: string, args: string[], options: RunOptions = {}) {
  const cli = join(dir, 'node_modules', '.bin', 'prisma7')
  return run(dir, cli, args, { ...options, env: { ...prismaEnv, ...options.env } })
}

/** Runs the host's Prisma 8 in it. It has no engine. */
export function prisma8(dir: string, args: string[], options: RunOptions = {}) {
  const cli = join(
    dirname(createRequire(join(dir, 'package.json')).resolve('prisma/package.json')),
    'dist',
    'prisma.js',
  )
  const env = { PRISMA_DISABLE_TELEMETRY: '1', DO_NOT_TRACK: '1', ...options.env }
  return run(dir, process.execPath, [cli, ...args], { ...options, env })
}
