import { expect, inject, it } from 'vitest'
import { createDatabase, query } from '../support/postgres.js'
import { prisma } from '../support/prisma.js'
import { SCHEMA, sampleHost } from './sample-host.js'

const CONFIG = `import { defineConfig } from 'prisma/config'
export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  datasource: { url: process.env.DATABASE_URL },
})
`

it.each([
  ['relationMode = "prisma"', '', 'CREATE TABLE "Order" (id integer PRIMARY KEY)'],
  [
    'schemas = ["base", "public"]',
    '\n  @@schema("base")',
    'CREATE SCHEMA base; CREATE TABLE base."Order" (id integer PRIMARY KEY)',
  ],
])(
  'a datasource with %s: the migrations make exactly the schema, and db push finds nothing to do',
  async (line, place, init) => {
    const host = sampleHost({
      'prisma/schema.prisma': SCHEMA.replace('"postgresql"', `"postgresql"\n  ${line}`).replace(
        'id Int @id',
        `id Int @id${place}`,
      ),
      'prisma.config.ts': CONFIG,
    })
    const url = await createDatabase(inject('postgres'))
    const env = { DATABASE_URL: url }
    await query(url, init)
    await host.run('install')
    await host.run('attempt')
    await host.run('reports')
    for (const path of host.files().filter((file) => file.endsWith('/migration.sql'))) await query(url, host.read(path))

    const difference = [
      'migrate',
      'diff',
      '--from-config-datasource',
      '--to-schema',
      'prisma/schema.prisma',
      '--exit-code',
    ]
    expect((await prisma(host.root, difference, { env })).stdout).toContain('No difference detected')
    expect((await prisma(host.root, ['db', 'push'], { env })).stdout).toContain('already in sync')
    const triggers = await query(
      url,
      `SELECT tgname FROM pg_trigger WHERE tgname LIKE 'attempts_%' AND NOT tgisinternal`,
    )
    expect(triggers.length).toBeGreaterThan(0)
  },
  60_000,
)
