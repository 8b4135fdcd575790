import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { doctor } from '../../generators/commands/doctor/doctor.js'
import { REPOSITORY } from '../support/host.js'
import { type SampleHost, SCHEMA, sampleHost } from './sample-host.js'

const SCHEMA_6 = SCHEMA.replace('"prisma-client"\n  output   = "../src/generated"', '"prisma-client-js"').replace(
  'provider = "postgresql"\n',
  'provider = "postgresql"\n  url      = env("SHOP_DATABASE_URL")\n',
)

const CLIENT = `import { PrismaClient } from '@prisma/client'\n\nexport const prisma = new PrismaClient()\n`

/** A host with Prisma 6, and with a native query engine, which is the default there. */
function hostOn6(files: Record<string, string | null> = {}): SampleHost {
  const host = sampleHost(
    {
      'node_modules/prisma/package.json': '{ "name": "prisma", "version": "6.19.3" }',
      'prisma/schema.prisma': SCHEMA_6,
      'src/db.ts': CLIENT,
      ...files,
    },
    { prisma: 'none' },
  )
  mkdirSync(join(host.root, 'node_modules/@prisma'), { recursive: true })
  symlinkSync(join(REPOSITORY, 'node_modules/prisma-6-config'), join(host.root, 'node_modules/@prisma/config'), 'dir')
  return host
}

const packageJson = (more: object) =>
  JSON.stringify({ name: 'host', type: 'module', dependencies: { prisma: '^6.19.0' }, ...more })

describe('a host with Prisma 6', () => {
  it('gets everything, and doctor finds no problem with Prisma or the schema', async () => {
    const host = hostOn6()
    await host.run('install')
    await host.run('attempt')
    await host.run('reports', ['MonthlySales'])
    expect(host.read('prisma/schema.prisma')).toContain('model Attempt {')
    const { findings } = await doctor({ cwd: host.root })
    expect(findings.map(({ code }) => code)).toEqual(['PACKAGE_NOT_INSTALLED', 'PACKAGE_NOT_INSTALLED'])
  })

  it('has its schema checked by the parser of Prisma 6, which requires a url', async () => {
    const host = hostOn6({ 'prisma/schema.prisma': SCHEMA })
    await expect(host.run('install')).rejects.toMatchObject({
      code: 'SCHEMA_INVALID',
      message: expect.stringContaining('Argument "url" is missing'),
    })
  })

  it('may name its schema in the key `prisma` of package.json, which a prisma.config overrides', async () => {
    const files = {
      'package.json': packageJson({ prisma: { schema: './db/schema.prisma' } }),
      'prisma/schema.prisma': null,
      'db/schema.prisma': SCHEMA_6,
    }
    const host = hostOn6(files)
    await host.run('install')
    expect(host.read('db/schema.prisma')).toContain('model Toast {')
    expect(host.files().some((file) => /^db\/migrations\/\d+_create_toasts\/migration\.sql$/.test(file))).toBe(true)

    const other = hostOn6({
      ...files,
      'other/schema.prisma': SCHEMA_6,
      'prisma.config.mjs': `export default { schema: 'other/schema.prisma' }\n`,
    })
    await other.run('install')
    expect(other.read('other/schema.prisma')).toContain('model Toast {')
  })

  it.each([
    ['that of the schema, where the client gets none', CLIENT, 'process.env.SHOP_DATABASE_URL'],
    [
      'that of the schema, where the module only reads others, such as those of read replicas',
      `${CLIENT}export const replicas = process.env.DATABASE_REPLICA_URLS\n`,
      'process.env.SHOP_DATABASE_URL',
    ],
    [
      'the one that the client gets as `datasourceUrl`',
      CLIENT.replace('PrismaClient()', 'PrismaClient({ datasourceUrl: process.env.OWN_URL })'),
      'process.env.OWN_URL',
    ],
  ])('has its database URL read from the right variable: %s', async (_, client, expression) => {
    const host = hostOn6({ 'src/db.ts': client })
    await host.run('install')
    expect(host.read('src/async/database.ts')).toContain(`connectionString: ${expression} })`)
  })

  it('is told to give `prisma db execute` the schema, which it requires', async () => {
    const { nextSteps } = await hostOn6().run('install')
    expect(nextSteps.join('\n')).toMatch(
      /prisma db execute --file \S+_create_toasts\/migration\.sql --schema prisma\/schema\.prisma/,
    )
  })

  it('gets a client without a driver adapter, if its class requires arguments and no adapter is there', async () => {
    const service = `import { PrismaClient } from '@prisma/client'
export class PrismaService extends PrismaClient {
  constructor(config: { log: boolean }) {
    super({ log: config.log ? ['query'] : [] })
  }
}\n`
    const host = hostOn6({ 'src/db.ts': service })
    await host.run('install')
    expect(host.read('src/async/client.ts')).toContain('export const prisma = new PrismaClient()')
    expect(host.read('src/async/client.ts')).not.toContain('adapter')

    const withAdapter = hostOn6({
      'src/db.ts': service,
      'package.json': packageJson({ dependencies: { prisma: '^6.19.0', '@prisma/adapter-pg': '^6.19.0' } }),
    })
    await withAdapter.run('install')
    expect(withAdapter.read('src/async/client.ts')).toContain('new PrismaPg(')
  })
})
