import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { validate } from '../../generators/changes/validate.js'
import { type GenerateRequest, generate } from '../../generators/commands/generate.js'
import { ConflictError, type GeneratorError, HostError, UsageError } from '../../generators/host/errors.js'
import { inspect } from '../../generators/host/inspect.js'
import { folderHost, type SampleHost, SCHEMA, sampleHost } from './sample-host.js'

const IMPORT = "import { PrismaClient } from './generated/client.js'\n"
const PACKAGE = '{ "name": "host" }\n'

describe('a host that cannot be worked in is refused, and left as it was', () => {
  it('without a package.json', async () => {
    const error = await refusal(sampleHost({ 'package.json': null }))
    expect(error).toMatchObject({ code: 'NO_PACKAGE_JSON', exitCode: 4, remedy: expect.stringContaining('--cwd') })
    expect(error).toBeInstanceOf(HostError)
  })

  it('with a package.json that is not JSON', async () => {
    expect(await refusal(sampleHost({ 'package.json': '{ "name": ' }))).toMatchObject({ code: 'PACKAGE_JSON_INVALID' })
  })

  it('without Prisma', async () => {
    const host = sampleHost({ 'package.json': PACKAGE }, { prisma: 'none' })
    expect(await refusal(host)).toMatchObject({ code: 'NO_PRISMA', exitCode: 4 })
  })

  it.each([
    ['Prisma', 'NO_PRISMA', { name: 'api' }],
    ['a schema', 'SCHEMA_NOT_FOUND', { name: 'api', devDependencies: { prisma: '^7' } }],
  ])(
    'in an application that leaves %s to another package of its workspace, which is named',
    async (_what, code, app) => {
      const workspace = sampleHost(
        {
          'package-lock.json': '{}',
          'packages/db/package.json': PACKAGE.replace('{', '{ "devDependencies": { "prisma": "^7" },'),
          'apps/api/package.json': JSON.stringify(app),
          'apps/broken/package.json': '{',
        },
        code === 'NO_PRISMA' ? { prisma: 'none' } : {},
      )
      const run = generate({ cwd: join(workspace.root, 'apps/api'), generator: 'install', names: [] })
      await expect(run).rejects.toMatchObject({
        code,
        remedy: expect.stringMatching(/: npx async-gen install --cwd \.\.\/\.\.\/packages\/db$/),
      })
    },
  )

  it('with a Prisma that is named but not installed', async () => {
    expect(await refusal(sampleHost({}, { prisma: 'none' }))).toMatchObject({
      code: 'PRISMA_NOT_INSTALLED',
      exitCode: 4,
    })
  })

  it.each(['5.22.0', '9.0.0'])('with Prisma %s', async (version) => {
    const host = sampleHost({ 'node_modules/prisma/package.json': JSON.stringify({ name: 'prisma', version }) })
    const error = await refusal(host)
    expect(error).toMatchObject({ code: 'PRISMA_MAJOR', exitCode: 4 })
    expect(error.message).toContain(version)
  })

  it('with a Prisma 8 before the one of the preview, and names the versions that it is tested with', async () => {
    const host = sampleHost({ 'node_modules/prisma/package.json': '{ "name": "prisma", "version": "8.0.0-rc.3" }' })
    expect(await refusal(host)).toMatchObject({
      code: 'PRISMA_VERSION',
      exitCode: 4,
      remedy: 'npm install --save-exact prisma@8.0.0-rc.19 @prisma/orm-postgres@8.0.0-rc.13',
    })
  })

  it('with the config of Prisma 8 and an installed Prisma 7, and names the versions to install', async () => {
    const host = sampleHost({
      'prisma.config.ts': `import { defineConfig as ormConfig } from '@prisma/orm-postgres/config'\nexport default { orm: ormConfig({}) }\n`,
    })
    expect(await refusal(host)).toMatchObject({
      code: 'PRISMA_VERSION',
      exitCode: 4,
      message: expect.stringContaining('config of a Prisma 8, but Prisma 7'),
      remedy: expect.stringContaining('--save-exact prisma@8'),
    })
  })

  it('with Prisma 8 on another database', async () => {
    const host = sampleHost({ 'node_modules/prisma/package.json': '{ "name": "prisma", "version": "8.0.0-rc.19" }' })
    expect(await refusal(host)).toMatchObject({ code: 'PROVIDER', exitCode: 4 })
  })

  it('with a Prisma 6 before 6.16, and says that the last Prisma 6 is enough', async () => {
    const host = sampleHost({ 'node_modules/prisma/package.json': '{ "name": "prisma", "version": "6.15.0" }' })
    expect(await refusal(host)).toMatchObject({
      code: 'PRISMA_VERSION',
      exitCode: 4,
      message: expect.stringContaining('Prisma 6.15.0 is installed'),
      remedy: expect.stringContaining('prisma@^6.19.0'),
    })
  })

  it('on another database', async () => {
    const host = sampleHost({ 'prisma/schema.prisma': SCHEMA.replace('postgresql', 'mysql') })
    const error = await refusal(host)
    expect(error).toMatchObject({ code: 'PROVIDER', exitCode: 4 })
    expect(error.message).toContain('mysql')
    expect(error.where).toContain('prisma/schema.prisma')
  })

  it('on another database with Prisma 6: to upgrade Prisma would lead nowhere', async () => {
    const host = sampleHost({
      'node_modules/prisma/package.json': '{ "name": "prisma", "version": "6.1.0" }',
      'prisma/schema.prisma': 'datasource db {\n  provider = "sqlite"\n  url      = "file:./dev.db"\n}\n',
    })
    expect(await refusal(host)).toMatchObject({
      code: 'PROVIDER',
      message: expect.stringContaining('"sqlite"'),
      remedy: expect.not.stringContaining('prisma@'),
    })
  })

  it('in an application of a workspace with several packages that have Prisma: one to choose, and no long list', async () => {
    const db = (name: string) => ({
      [`packages/${name}/package.json`]: PACKAGE.replace('{', '{ "devDependencies": { "prisma": "^7" },'),
      [`packages/${name}/prisma/schema.prisma`]: SCHEMA,
    })
    const workspace = sampleHost(
      {
        'package-lock.json': '{}',
        'prisma/schema.prisma': null,
        'packages/tools/package.json': PACKAGE.replace('{', '{ "devDependencies": { "prisma": "^7" },'),
        ...Object.fromEntries(['a', 'b', 'c', 'd'].flatMap((name) => Object.entries(db(name)))),
        'apps/api/package.json': JSON.stringify({ name: 'api' }),
      },
      { prisma: 'none' },
    )
    const error = await generate({ cwd: join(workspace.root, 'apps/api'), generator: 'install', names: [] }).catch(
      (refused) => refused,
    )
    expect(error.remedy).toContain('4 packages of this workspace have one; choose yours')
    expect(error.remedy.match(/--cwd/g)).toHaveLength(3)
    expect(error.remedy).not.toContain('packages/tools')
    expect(error.remedy).toContain('(and 1 more)')
  })

  it('with a schema somewhere else, and lists what is there', async () => {
    const host = sampleHost({
      'prisma/schema.prisma': null,
      'src/modules/shop/shop.prisma': SCHEMA,
      'infra/db/schema.prisma': SCHEMA,
      'src/generated/schema.prisma': SCHEMA,
    })
    expect((await refusal(host)).remedy).toBe(
      'Name one of these: --schema infra/db/schema.prisma, or --schema src/modules/shop/shop.prisma; or set `schema` in prisma.config.ts',
    )
  })

  it('without a schema', async () => {
    const error = await refusal(sampleHost({ 'prisma/schema.prisma': null }))
    expect(error).toMatchObject({ code: 'SCHEMA_NOT_FOUND', remedy: expect.stringContaining('--schema') })
    expect(error.message).toContain('prisma/schema.prisma or schema.prisma')
  })

  it('with a folder schema that nothing names, and says its name', async () => {
    const host = sampleHost({
      'prisma/schema.prisma': null,
      'prisma/schema/main.prisma': SCHEMA,
      'prisma/schema/more.prisma': 'model More {\n  id Int @id\n}\n',
    })
    const error = await refusal(host)
    expect(error).toMatchObject({
      code: 'SCHEMA_NOT_FOUND',
      remedy: expect.stringContaining('--schema prisma/schema,'),
    })
  })

  it('with a --schema that is not there', async () => {
    const error = await refusal(sampleHost(), { schema: 'db/schema.prisma' })
    expect(error).toMatchObject({ code: 'SCHEMA_NOT_FOUND' })
    expect(error.message).toContain('db/schema.prisma')
  })

  it('with a schema that does not parse', async () => {
    const error = await refusal(
      sampleHost({ 'prisma/schema.prisma': `${SCHEMA}\nmodel Broken {\n  id Nothing @id\n}\n` }),
    )
    expect(error).toMatchObject({ code: 'SCHEMA_INVALID', exitCode: 4 })
    expect(error.message).toContain('Nothing')
  })

  it('with a prisma.config that does not load', async () => {
    const error = await refusal(sampleHost({ 'prisma.config.ts': `throw new Error('not today')\n` }))
    expect(error).toMatchObject({ code: 'PRISMA_CONFIG_INVALID', exitCode: 4 })
    expect(error.message).toContain('not today')
  })

  it('with a tsconfig that extends one which is not there', async () => {
    expect(await refusal(sampleHost({ 'tsconfig.json': '{ "extends": "./gone.json" }' }))).toMatchObject({
      code: 'TSCONFIG_INVALID',
    })
  })

  it('with the lines of our block out of order', async () => {
    const host = sampleHost({ 'prisma/schema.prisma': `${SCHEMA}\n// async-gen:begin\n` })
    expect(await refusal(host)).toMatchObject({ code: 'SCHEMA_BLOCK_BROKEN' })
  })

  it.each([
    ['that a merge has left markers in', '<<<<<<< HEAD'],
    ['of which half is gone', '{ "version": 1, "asyncGen": "0.1.0" }'],
  ])('with a manifest %s', async (_what, manifest) => {
    const host = sampleHost({ '.async-gen/manifest.json': manifest })
    expect(await refusal(host)).toMatchObject({ code: 'MANIFEST_INVALID', where: '.async-gen/manifest.json' })
  })

  it('when the folder does not exist', async () => {
    expect(await refusal(sampleHost(), { cwd: '/nowhere/at/all' })).toMatchObject({
      code: 'NO_SUCH_FOLDER',
      exitCode: 2,
    })
  })

  it('when Prisma would not accept the result', async () => {
    const template = '.async-gen/templates/install/schema.prisma.hbs'
    const error = await refusal(sampleHost({ [template]: 'model Toast {\n  id Nothing @id\n}\n' }))
    expect(error).toMatchObject({ code: 'SCHEMA_RESULT_INVALID', exitCode: 4 })
    expect(error.message).toContain('Nothing')
  })

  it('when its models name schemas of the database, and public is none of them', async () => {
    const schema = SCHEMA.replace('"postgresql"', '"postgresql"\n  schemas = ["auth", "base"]').replace(
      'id Int @id',
      'id Int @id\n  @@schema("auth")',
    )
    const error = await refusal(sampleHost({ 'prisma/schema.prisma': schema }))
    expect(error).toMatchObject({
      code: 'NO_PUBLIC_SCHEMA',
      exitCode: 4,
      remedy: 'Add public: schemas = ["auth", "base", "public"]',
    })
  })

  it('a plan that would edit a migration, which no plan should', async () => {
    const path = 'prisma/migrations/20240101000000_init/migration.sql'
    const host = await inspect(sampleHost({ [path]: '-- yours\n' }).root)
    expect(() => validate(host, [{ path, before: '-- yours\n', after: '-- ours\n' }])).toThrow(
      /The plan edits the migration/,
    )
  })

  it('when there is a task of that name already', async () => {
    const host = sampleHost({ 'src/async/tasks/sweep.js': 'export default () => {}\n' })
    expect(await refusal(host)).toMatchObject({ code: 'TASK_TAKEN', exitCode: 3 })
  })

  it('when the folder leads out of the project by a link', async () => {
    const elsewhere = sampleHost()
    const host = sampleHost()
    symlinkSync(elsewhere.root, `${host.root}/linked`)
    expect(await refusal(host, { dir: 'linked/async' })).toMatchObject({ code: 'OUTSIDE_HOST' })
    expect(elsewhere.has('async')).toBe(false)
  })

  it('when the schema is a link out of the project', async () => {
    const elsewhere = sampleHost()
    const host = sampleHost({ 'prisma/schema.prisma': null, 'prisma/migrations/.keep': '' })
    symlinkSync(join(elsewhere.root, 'prisma/schema.prisma'), join(host.root, 'prisma/schema.prisma'))
    expect(await refusal(host)).toMatchObject({ code: 'OUTSIDE_HOST' })
    expect(elsewhere.read('prisma/schema.prisma')).toBe(SCHEMA)
  })
})

describe('T16: a name that the host has is found before anything is written', () => {
  it.each([
    ['a model', 'model Toast {\n  id Int @id\n}', 'model Toast;'],
    ['a table', 'model Bread {\n  id Int @id\n  @@map("toasts")\n}', 'model Bread (in the database: toasts)'],
    ['an enum', 'enum Toast {\n  light\n}', 'enum Toast;'],
  ])('%s', async (_what, declaration, called) => {
    const error = await refusal(sampleHost({ 'prisma/schema.prisma': `${SCHEMA}\n${declaration}\n` }))
    expect(error).toBeInstanceOf(ConflictError)
    expect(error).toMatchObject({ code: 'NAME_TAKEN', exitCode: 3 })
    expect(error.message).toContain(called)
  })

  it.each([
    [
      'a model Toast whose table has another name',
      'model Toast {\n  id Int @id\n}',
      /^Rename your model in the Prisma schema, and keep its table: .*model YourToast \{ … @@map\("Toast"\) \}/,
    ],
    [
      'a model Toast whose table is ours too',
      'model Toast {\n  id Int @id\n  @@map("toasts")\n}',
      /^.*Rename your table .*\n {2}ALTER TABLE "toasts" RENAME TO "your_toasts";/,
    ],
    [
      'an enum whose type has the name of our table',
      'enum Toast {\n  light\n  @@map("toasts")\n}',
      /^.*Rename your type .*\n {2}ALTER TYPE "toasts" RENAME TO "your_toasts";/,
    ],
  ])('%s, with the lines that rename it', async (_what, declaration, remedy) => {
    const host = sampleHost({ 'prisma/schema.prisma': `${SCHEMA}\n${declaration}\n` })
    expect(await refusal(host)).toMatchObject({ code: 'NAME_TAKEN', remedy: expect.stringMatching(remedy) })
  })

  it('a model Report, with the names of the reports in the command that goes around it', async () => {
    const host = sampleHost({
      'prisma/schema.prisma': `${SCHEMA}\nmodel Report {\n  id Int @id\n}\nmodel SalesReport {\n  id Int @id\n}\n`,
    })
    await host.run('install')
    expect(await refusal(host, { generator: 'reports', names: ['MonthlySales', 'WeeklySales'] })).toMatchObject({
      code: 'NAME_TAKEN',
      remedy: expect.stringMatching(/async-gen reports MonthlySales WeeklySales --model BackgroundReport$/),
    })
    await host.run('reports', ['MonthlySales', 'WeeklySales'], { model: 'BackgroundReport' })
  })

  it('the type of an enum, with the command that goes around it', async () => {
    const host = sampleHost({
      'prisma/schema.prisma': `${SCHEMA}\nenum Mood {\n  good\n  @@map("attempt_status")\n}\n`,
    })
    await host.run('install')
    const error = await refusal(host, { generator: 'attempt' })
    expect(error).toMatchObject({
      code: 'NAME_TAKEN',
      remedy: expect.stringContaining('async-gen attempt EmailAttempt'),
    })
    await host.run('attempt', ['EmailAttempt'])
  })

  it('the table of reports', async () => {
    const host = sampleHost({
      'prisma/schema.prisma': `${SCHEMA}\nmodel Summary {\n  id Int @id\n  @@map("reports")\n}\n`,
    })
    await host.run('install')
    expect(await refusal(host, { generator: 'reports' })).toMatchObject({
      code: 'NAME_TAKEN',
      message: expect.stringContaining('model Summary (in the database: reports)'),
    })
  })

  it('in any file of a folder schema', async () => {
    const host = folderHost({ 'prisma/schema/kitchen/toasts.prisma': 'model Toast {\n  id Int @id\n}\n' })
    expect(await refusal(host)).toMatchObject({ code: 'NAME_TAKEN' })
  })

  it('a name that differs only in case from a file that is there', async () => {
    const host = sampleHost({ 'src/async/Worker.ts': 'export {}\n' })
    expect(await refusal(host)).toMatchObject({ code: 'CASE_CLASH', exitCode: 3 })
  })

  it('but no file beside ours: the JavaScript that a compiler has left there', async () => {
    const host = sampleHost({ 'src/async/worker.js': 'export {}\n' })
    await host.run('install')
    expect(host.has('src/async/worker.ts')).toBe(true)
  })

  it('a file of another generator', async () => {
    const host = sampleHost()
    await host.run('install')
    await host.run('attempt')
    expect(await refusal(host, { generator: 'reports', names: ['Attempt'] })).toMatchObject({ code: 'FILE_TAKEN' })
  })

  it('a report whose name differs only in case from another one, with their file', async () => {
    const host = sampleHost()
    await host.run('install')
    const expected = { code: 'FILE_TAKEN', message: expect.stringContaining('src/async/reports/monthly_sales.ts') }
    const both = ['MonthlySales', 'MonthlySALES']
    expect(await refusal(host, { generator: 'reports', names: both })).toMatchObject(expected)
    await host.run('reports', ['MonthlySales'])
    expect(await refusal(host, { generator: 'reports', names: ['MonthlySALES'] })).toMatchObject(expected)
    await host.run('reports', ['MonthlySales', 'WeeklySales'])
  })
})

describe('a command that cannot be meant is refused', () => {
  it.each([['attempt'], ['reports']] as const)('%s before install', async (generator) => {
    const error = await refusal(sampleHost(), { generator })
    expect(error).toBeInstanceOf(UsageError)
    expect(error).toMatchObject({ code: 'NOT_INSTALLED', exitCode: 2 })
    expect(error.remedy).toContain('npx async-gen install')
  })

  it.each(['2fast', 'e-mail!', 'Über', '', 'A'.repeat(31)])('the name "%s"', async (name) => {
    const host = sampleHost()
    await host.run('install')
    expect(await refusal(host, { generator: 'attempt', names: [name] })).toMatchObject({
      code: 'NAME_INVALID',
      exitCode: 2,
    })
  })

  it.each(['class', 'Promise', 'PrismaClient', 'Toast', 'sweep', 'report'])('the reserved name "%s"', async (name) => {
    const host = sampleHost()
    await host.run('install')
    expect(await refusal(host, { generator: 'attempt', names: [name] })).toMatchObject({
      code: 'NAME_RESERVED',
      exitCode: 2,
    })
  })

  it.each(['../elsewhere', '/tmp/async', '.'])('--dir %s', async (dir) => {
    expect(await refusal(sampleHost(), { dir })).toMatchObject({ code: 'DIR_INVALID', exitCode: 2 })
  })

  it('another --dir than the one of the installation', async () => {
    const host = sampleHost()
    await host.run('install', [], { dir: 'lib/async' })
    expect(await refusal(host, { generator: 'attempt', dir: 'src/async' })).toMatchObject({ code: 'DIR_DIFFERS' })
  })
})

describe('the PrismaClient', () => {
  it('that is exported nowhere is asked for, with the flag', async () => {
    const error = await refusal(sampleHost({ 'src/db.ts': null }))
    expect(error).toMatchObject({ code: 'CLIENT_NOT_FOUND', exitCode: 2, remedy: expect.stringContaining('--client') })
  })

  it('that is made and not exported is asked for, with the module', async () => {
    const host = sampleHost({
      'src/db.ts': `${IMPORT}const client = new PrismaClient()\nexport const count = () => client.order.count()\n`,
      'src/other.ts': '// new PrismaClient() is made in db.ts\n',
    })
    expect(await refusal(host)).toMatchObject({
      code: 'CLIENT_NOT_FOUND',
      message: expect.stringMatching(/make one, and do not export it: src\/db\.ts\.$/),
    })
  })

  it('that may be exported in a way that is not recognised is asked for, beside the one that is', async () => {
    const unclear = `${IMPORT}registry.add('db', new PrismaClient())\nexport default registry.db\n`
    const host = sampleHost({ 'src/main-db.ts': unclear })
    const error = await refusal(host)
    expect(error).toMatchObject({ code: 'CLIENT_AMBIGUOUS', remedy: 'Name one of them: --client src/db.ts#prisma' })
    expect(error.message).toContain('src/main-db.ts ')
    await host.run('install', [], { client: 'src/main-db.ts#default' })
    expect(host.read('src/async/database.ts')).toContain("import prisma from '../main-db.js'")
  })

  it('of the application is asked for, beside a read replica that throws without its own variable', async () => {
    const replica = `${IMPORT}if (!process.env.REPLICA_URL) throw new Error('no replica')\nexport const replica = new PrismaClient()\n`
    const main = `${IMPORT}if (!global.prisma) global.prisma = new PrismaClient()\nexport default global.prisma\n`
    const error = await refusal(sampleHost({ 'src/replica.ts': replica, 'src/db.ts': main }))
    expect(error.message).toContain('src/db.ts#default')
    expect(error.message).toContain('src/replica.ts#replica')
  })

  it('that is exported twice is asked for, with a list', async () => {
    const error = await refusal(twoClients())
    expect(error).toMatchObject({ code: 'CLIENT_AMBIGUOUS', exitCode: 2 })
    expect(error.message).toContain('src/db.ts#prisma')
    expect(error.message).toContain('src/replica.ts#default')
    expect(error.remedy).toContain('--client src/db.ts#prisma')
    const extended = `${IMPORT}export const kysely = new PrismaClient()\nexport const prisma = new PrismaClient()\n`
    expect((await refusal(sampleHost({ 'src/db.ts': extended }))).remedy).toContain('--client src/db.ts#prisma')
  })

  it('does not count in build output, generated code, type declarations and specs', async () => {
    const client = 'export const prisma = new PrismaClient()\n'
    const paths = [
      'dist/db.js',
      'src/generated/db.ts',
      'src/db.d.ts',
      'src/db.test.ts',
      '.next/db.js',
      'node_modules/x/db.js',
    ]
    const host = sampleHost(Object.fromEntries(paths.map((path) => [path, client])))
    await host.run('install')
    expect(host.read('src/async/database.ts')).toContain("from '../db.js'")
  })

  it('is chosen by the user where somebody can be asked', async () => {
    const host = twoClients()
    await host.run('install', [], { chooseClient: async (candidates) => candidates[1]! })
    expect(host.read('src/async/database.ts')).toContain("import prisma from '../replica.js'")
  })

  it('that --client names is not there', async () => {
    expect(await refusal(sampleHost(), { client: 'src/nothing.ts' })).toMatchObject({ code: 'CLIENT_NOT_FOUND' })
  })

  it("that imports 'server-only', itself or through another module, gives way to one that does not", async () => {
    const client = 'export const prisma = new PrismaClient()\n'
    const host = sampleHost({
      'src/db.ts': null,
      'src/server/env.ts': "import 'server-only'\n",
      'src/server/db.ts': `${IMPORT}import './env.js'\n${client}`,
      'src/worker/db.ts': `${IMPORT}${client}`,
    })
    const { plan } = await host.run('install')
    expect(host.read('src/async/database.ts')).toContain("from '../worker/db.js'")
    expect(plan.notes).toContainEqual(
      expect.stringMatching(/^src\/server\/db\.ts imports 'server-only'.*: async-gen uses src\/worker\/db\.ts$/),
    )
  })

  it("that alone is there and imports 'server-only' is used, with what to do", async () => {
    const host = sampleHost({
      'src/db.ts': `import 'server-only'\n${IMPORT}export const prisma = new PrismaClient()\n`,
    })
    const { plan } = await host.run('install')
    expect(plan.notes).toContainEqual(expect.stringContaining('NODE_OPTIONS=--conditions=react-server'))
  })

  function twoClients() {
    const replica =
      "import { PrismaClient } from './generated/client.js'\nexport default new PrismaClient({ adapter })\n"
    return sampleHost({ 'src/replica.ts': replica })
  }
})

/** Runs `install`, or what is asked, expects an error, and expects the host to be as it was. */
async function refusal(host: SampleHost, request: Partial<GenerateRequest> = {}): Promise<GeneratorError> {
  const before = host.hash()
  const error = await host.run('install', [], request).then(
    () => {
      throw new Error('it was not refused')
    },
    (refused) => refused,
  )
  expect(host.hash()).toBe(before)
  expect(error.code, error.stack).toBeDefined()
  return error
}
