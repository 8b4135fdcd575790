import { chmodSync, existsSync, mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runMigrations } from 'graphile-worker'
import type { TestProject } from 'vitest/node'
import { APP } from './host.js'
import { createDatabase, type PostgresServer, startPostgres } from './postgres.js'
import { prisma, schemaEngineLine } from './prisma.js'
import { compilePrograms } from './programs.js'
import { setCertificatesAside } from './run.js'

declare module 'vitest' {
  interface ProvidedContext {
    postgres: PostgresServer
  }
}

/** One PostgreSQL for the whole run, with a template that each test file copies; and what tests start as programs. */
export default async function setup(project: TestProject) {
  setCertificatesAside()
  const [{ server, folder, stop }, programs] = await Promise.all([startMigrated(), compilePrograms()])
  project.provide('postgres', server)
  process.env.TMPDIR = join(folder, 'files')
  mkdirSync(process.env.TMPDIR)
  // For every account, like the folder that it stands for.
  chmodSync(process.env.TMPDIR, 0o1777)
  // Read in each process that runs test files: by `compiled`, and by `installHost`.
  process.env.TEST_PROGRAMS = programs.dir
  process.env.TEST_MODULES = mkdtempSync(join(tmpdir(), 'async-gen-modules-'))
  return async () => {
    programs.remove()
    await stop()
  }
}

async function startMigrated() {
  const { stop, url, prefix, folder } = await startPostgres()
  const server = { url, prefix }
  try {
    if (existsSync(APP)) await migrateTemplate(server)
  } catch (error) {
    await stop()
    throw error
  }
  return { server, folder, stop }
}

async function migrateTemplate(server: PostgresServer) {
  console.log(schemaEngineLine)
  const url = await createDatabase(server, { name: 'template' })
  await runMigrations({ connectionString: url })
  await prisma(APP, ['migrate', 'deploy'], { env: { DATABASE_URL: url } })
}
