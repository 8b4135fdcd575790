import { describe, expect, inject, it } from 'vitest'
import { createDatabase, query } from '../support/postgres.js'
import { prisma } from '../support/prisma.js'
import { lines, type SampleHost, SCHEMA, sampleHost } from './sample-host.js'

const configFor = (schema: string) => `import { defineConfig } from 'prisma/config'
export default defineConfig({
  schema: '${schema}',
  migrations: { path: 'prisma/migrations' },
  datasource: { url: process.env.DATABASE_URL },
})
`
const CONFIG = configFor('prisma/schema.prisma')

const INIT = {
  'prisma/migrations/migration_lock.toml': 'provider = "postgresql"\n',
  'prisma/migrations/20200101000000_init/migration.sql':
    'CREATE TABLE "Order" ("id" INTEGER NOT NULL, CONSTRAINT "Order_pkey" PRIMARY KEY ("id"));\n',
}

const PARTIAL_INDEXES = (schema: string) =>
  schema.replace('"prisma-client"', '"prisma-client"\n  previewFeatures = ["partialIndexes"]')

const PARTIAL_INDEX_NAMES = [
  'async_batches_open',
  'attempts_batch',
  'attempts_blocked',
  'attempts_children',
  'attempts_completed',
  'attempts_debounce',
  'attempts_dependents',
  'attempts_due',
  'attempts_errors',
  'attempts_expiring',
  'attempts_finished',
  'attempts_limited',
  'attempts_limited_order',
  'attempts_limited_running',
  'attempts_odd_times',
  'attempts_running',
  'attempts_schedule',
  'attempts_schedule_left',
  'attempts_token',
  'attempts_type',
  'toasts_due',
  'toasts_expired',
  'toasts_running',
]

describe('the migrations make exactly the schema: Prisma finds nothing to do', () => {
  it.each([
    ['relationMode = "prisma"', '', 'CREATE TABLE "Order" (id integer PRIMARY KEY)'],
    [
      'schemas = ["base", "public"]',
      '\n  @@schema("base")',
      'CREATE SCHEMA base; CREATE TABLE base."Order" (id integer PRIMARY KEY)',
    ],
  ])(
    'with %s in the datasource',
    async (line, place, init) => {
      const datasource = SCHEMA.replace('"postgresql"', `"postgresql"\n  ${line}`)
      const { host, env } = await migrated(datasource.replace('id Int @id', `id Int @id${place}`), init)
      expect((await prisma(host.root, ['db', 'push'], { env })).stdout).toContain('already in sync')
    },
    120_000,
  )

  it('with a schema folder, by `prisma migrate deploy`', async () => {
    const host = sampleHost({
      'prisma/schema.prisma': null,
      'prisma/schema/main.prisma': SCHEMA,
      'prisma.config.ts': configFor('prisma/schema'),
      ...INIT,
    })
    await host.run('install')
    await host.run('attempt')
    await host.run('reports')
    const env = { DATABASE_URL: await createDatabase(inject('postgres')) }
    await prisma(host.root, ['migrate', 'deploy'], { env })
    expect((await prisma(host.root, ['db', 'push'], { env })).stdout).toContain('already in sync')
  }, 120_000)

  it('with the preview feature partialIndexes', async () => {
    const { host, env } = await migrated(PARTIAL_INDEXES(SCHEMA))
    const declared = [...host.read('prisma/schema.prisma').matchAll(/map: "(\w+)", where:/g)].map(([, name]) => name)
    expect(declared.sort()).toEqual(PARTIAL_INDEX_NAMES)
    expect((await prisma(host.root, ['db', 'push'], { env })).stdout).toContain('already in sync')
    expect(await partialIndexes(env.DATABASE_URL)).toEqual(PARTIAL_INDEX_NAMES)
  }, 120_000)

  it('with partialIndexes, for `prisma migrate dev` too, which finds nothing to write', async () => {
    const host = sampleHost({
      'prisma/schema.prisma': PARTIAL_INDEXES(SCHEMA),
      'prisma.config.ts': CONFIG,
      ...INIT,
    })
    await host.run('install')
    await host.run('attempt')
    const env = { DATABASE_URL: await createDatabase(inject('postgres')) }
    await prisma(host.root, ['migrate', 'deploy'], { env })
    const { stdout } = await prisma(host.root, ['migrate', 'dev', '--name', 'more'], { env })
    expect(stdout).toContain('Already in sync')
  }, 120_000)

  it('with partialIndexes and relationMode = "prisma" together', async () => {
    const schema = PARTIAL_INDEXES(SCHEMA).replace('"postgresql"', '"postgresql"\n  relationMode = "prisma"')
    const { host, env } = await migrated(schema)
    expect(await difference(host, env)).toContain('No difference detected')
  }, 120_000)

  it('with partialIndexes switched on later, once a generator runs again', async () => {
    const { host, env } = await migrated(SCHEMA)
    expect(await difference(host, env)).toContain('No difference detected')
    const mine = (schema: string) => schema.replace('model Toast {', 'model Toast {\n  // mine')
    host.write('prisma/schema.prisma', mine(PARTIAL_INDEXES(host.read('prisma/schema.prisma'))))
    expect((await difference(host, env)).match(/Removed (unique )?index/g)).toHaveLength(PARTIAL_INDEX_NAMES.length)

    await host.run('install')
    expect(lines(await host.run('attempt'))).toContain('update prisma/schema.prisma')
    expect(await difference(host, env)).toContain('No difference detected')
    expect(host.read('prisma/schema.prisma')).toContain('// mine')
  }, 120_000)
})

it('relationMode = "prisma": Prisma warns of no relation field without an index', async () => {
  const schema = SCHEMA.replace('"postgresql"', '"postgresql"\n  relationMode = "prisma"')
  const { host, env } = await migrated(schema)
  const { stdout, stderr } = await prisma(host.root, ['validate'], { env })
  expect(stdout + stderr).toContain('is valid')
  expect(stdout + stderr).not.toContain('warning')
}, 120_000)

/** A host with everything generated, and its database with all migrations. */
async function migrated(schema: string, init = 'CREATE TABLE "Order" (id integer PRIMARY KEY)') {
  const host = sampleHost({ 'prisma/schema.prisma': schema, 'prisma.config.ts': CONFIG })
  const url = await createDatabase(inject('postgres'))
  await query(url, init)
  await host.run('install')
  await host.run('attempt')
  await host.run('reports')
  for (const path of host.files().filter((file) => file.endsWith('/migration.sql'))) await query(url, host.read(path))
  return { host, env: { DATABASE_URL: url } }
}

/** What `prisma migrate diff` says: what would have to change for the database to be as the schema says. */
async function difference(host: SampleHost, env: { DATABASE_URL: string }) {
  const args = ['migrate', 'diff', '--from-config-datasource', '--to-schema', 'prisma/schema.prisma', '--exit-code']
  return (await prisma(host.root, args, { env, exitCodes: [0, 2] })).stdout
}

async function partialIndexes(url: string) {
  const rows = await query(
    url,
    `SELECT indexname FROM pg_indexes WHERE indexdef LIKE '% WHERE %' AND schemaname = 'public'`,
  )
  return rows.map(({ indexname }) => indexname).sort()
}
