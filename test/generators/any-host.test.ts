import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { destroy } from '../../generators/commands/destroy.js'
import { doctor } from '../../generators/commands/doctor/doctor.js'
import { info } from '../../generators/commands/info.js'
import { upgrade } from '../../generators/commands/upgrade.js'
import { run } from '../support/run.js'
import { folderHost, SCHEMA, sampleHost } from './sample-host.js'

describe('a host whose models name schemas of the database', () => {
  it('gets ours in public, which its datasource names', async () => {
    const host = sampleHost({
      'prisma/schema.prisma': SCHEMA.replace('"postgresql"', '"postgresql"\n  schemas = ["base", "public"]').replace(
        'id Int @id',
        'id Int @id\n  @@schema("base")',
      ),
    })
    await host.run('install')
    await host.run('attempt')
    await host.run('reports')
    // Toast, AsyncWorker, AsyncPause, Attempt, its status, Report
    expect(host.read('prisma/schema.prisma').match(/^ {2}@@schema\("public"\)$/gm)).toHaveLength(10)
  })
})

describe('what a host should be told', () => {
  it('a formatter that fails, and on what', async () => {
    const host = sampleHost({
      '.prettierrc': '{ "parser": "no-such-parser" }',
      'package.json': JSON.stringify({ type: 'module', devDependencies: { prettier: '3', vitest: '4' } }),
      'node_modules/prettier/package.json': '{ "name": "prettier", "version": "3.0.0", "main": "index.js" }',
      'node_modules/prettier/index.js': `module.exports = {
        getFileInfo: async () => ({ ignored: false, inferredParser: 'typescript' }),
        resolveConfig: async () => ({}),
        format: async () => { throw new Error('Cannot find plugin "tidy"\\nsomewhere') },
      }`,
    })
    const { plan, status } = await host.run('install')
    expect(status).toBe('applied')
    expect(plan.notes).toEqual([
      expect.stringMatching(
        /^prettier failed on \S+ and \d+ more files: Cannot find plugin "tidy"\. async-gen writes these files unformatted/,
      ),
    ])
  })

  it.each([
    ['{ ".": "./dist/index.js" }', true],
    ['"./src/index.ts"', true],
    ['{ ".": "./src/index.ts", "./*": { "import": "./dist/*.js" } }', false],
    ['{ ".": "./src/index.ts", "./async/*": "./src/async/*.ts" }', false],
  ])('"exports": %s hides our classes: %s', async (exports, hides) => {
    const host = sampleHost({
      'package.json': `{ "type": "module", "exports": ${exports}, "devDependencies": { "prisma": "7" } }`,
    })
    const { nextSteps } = await host.run('install')
    expect(nextSteps.some((step) => step.includes('"exports" in package.json hides src/async'))).toBe(hides)
    expect((await host.run('install')).nextSteps).toEqual([])
  })

  it('the commands of Prisma with the --schema and the --config that async-gen was given', async () => {
    const config = `import { defineConfig } from 'prisma/config'\nexport default defineConfig({ migrations: { path: 'db/migrations' } })\n`
    const host = sampleHost({
      'prisma/schema.prisma': null,
      'db/shop.prisma': SCHEMA,
      'db/prisma.config.ts': config,
    })
    const flags = '--schema db/shop.prisma --config db/prisma.config.ts'
    const first = await host.run('install', [], { schema: 'db/shop.prisma', config: 'db/prisma.config.ts' })
    const later = await host.run('attempt')
    for (const { nextSteps } of [first, later]) {
      expect(nextSteps.join('\n')).toContain(`npx prisma migrate dev ${flags} `)
      expect(nextSteps.join('\n')).toContain(`npx prisma migrate deploy ${flags})`)
      expect(nextSteps).toContain(`npx prisma generate ${flags}`)
      expect(nextSteps.join('\n')).toMatch(/prisma db execute --file \S+ --config db\/prisma\.config\.ts$/m)
      expect(nextSteps.join('\n')).toContain(`npx prisma db push ${flags} `)
    }
  })
})

describe('a host whose relations Prisma alone enforces', () => {
  it('gets no foreign key, which Prisma would see as drift', async () => {
    const host = sampleHost({
      'prisma/schema.prisma': SCHEMA.replace('"postgresql"', '"postgresql"\n  relationMode = "prisma"'),
    })
    await host.run('install')
    await host.run('attempt')
    const migration = host.files().find((path) => path.endsWith('_create_attempts/migration.sql'))!
    expect(host.read(migration)).not.toContain('FOREIGN KEY')
    expect(host.read('prisma/schema.prisma')).toContain('onDelete: Restrict, onUpdate: Restrict')
  })
})

describe('the schema and the migrations are found', () => {
  const config = (text: string) =>
    `import { defineConfig } from 'prisma/config'\nexport default defineConfig(${text})\n`

  it('in nested folders, with the migrations inside', async () => {
    const host = folderHost({
      'prisma/schema/main.prisma': SCHEMA,
      'prisma/schema/shop/orders/lines.prisma': 'model Line {\n  id Int @id\n}\n',
      'prisma/schema/migrations/20240101000000_init/migration.sql': '',
      'prisma.config.ts': config(`{ schema: 'prisma/schema' }`),
    })
    await host.run('install')
    expect(host.has('prisma/schema/toasts.prisma')).toBe(true)
    expect(host.files().filter((path) => /^prisma\/schema\/migrations\/\d+_create_toasts\//.test(path))).toHaveLength(1)
  })

  it.each(['.config/prisma.ts', '.config/prisma.config.ts'])('by a config in %s', async (path) => {
    const host = sampleHost({
      'prisma/schema.prisma': null,
      'db/main.prisma': SCHEMA,
      [path]: config(`{ schema: '../db/main.prisma', migrations: { path: '../db/history' } }`),
    })
    await host.run('install')
    expect(host.read('db/main.prisma')).toContain('model Toast {')
    expect(host.files().filter((file) => file.startsWith('db/history/'))).toHaveLength(2)
  })

  it('by a config without a schema, where Prisma looks itself', async () => {
    const host = sampleHost({ 'prisma.config.ts': config(`{ migrations: { path: 'db/history' } }`) })
    await host.run('install')
    expect(host.read('prisma/schema.prisma')).toContain('model Toast {')
    expect(host.files().filter((file) => file.startsWith('db/history/'))).toHaveLength(2)
  })

  it('by a config that asks for variables which are not set', async () => {
    const env = `import { defineConfig, env } from 'prisma/config'\n`
    const host = sampleHost({
      'prisma.config.ts': `${env}export default defineConfig({ schema: 'db/main.prisma', datasource: { url: env('UNSET_A'), shadowDatabaseUrl: env('UNSET_B') } })\n`,
      'db/main.prisma': SCHEMA,
    })
    await host.run('install')
    expect(host.read('db/main.prisma')).toContain('model Toast {')
    expect(process.env.UNSET_A).toBeUndefined()
  })

  describe('by a config that asks for variables which are not set, with', () => {
    const versions = ['7.0.1', '7.1.0']
    const folder = mkdtempSync(join(tmpdir(), 'async-gen-config-'))
    afterAll(() => rmSync(folder, { recursive: true, force: true }))
    beforeAll(async () => {
      const packages = versions.map((version) => `config-${version}@npm:@prisma/config@${version}`)
      await run(folder, 'npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', ...packages])
    }, 120_000)

    it.each(versions)('Prisma %s', async (version) => {
      const host = sampleHost(
        {
          'node_modules/prisma/package.json': JSON.stringify({ name: 'prisma', version }),
          'prisma.config.ts': `import { defineConfig, env } from '@prisma/config'\nexport default defineConfig({ schema: 'db/main.prisma', datasource: { url: env('UNSET_A') } })\n`,
          'db/main.prisma': SCHEMA,
        },
        { prisma: 'none' },
      )
      mkdirSync(join(host.root, 'node_modules/@prisma'))
      symlinkSync(join(folder, 'node_modules', `config-${version}`), join(host.root, 'node_modules/@prisma/config'))
      await host.run('install')
      expect(host.read('db/main.prisma')).toContain('model Toast {')
    })
  })

  it('by prisma7.config.ts, which `prisma init` writes', async () => {
    const host = sampleHost({
      'prisma7.config.ts': config(`{ schema: 'db/main.prisma' }`),
      'db/main.prisma': SCHEMA,
      'prisma/schema.prisma': null,
    })
    await host.run('install')
    expect(host.read('db/main.prisma')).toContain('model Toast {')
  })

  it('by --config where there are several, which later commands remember; decoys are not touched', async () => {
    const host = sampleHost({
      'prisma.config.ts': config(`{ schema: 'prisma/schema.prisma' }`),
      'prisma.analytics.config.ts': config(`{ schema: 'analytics/schema.prisma' }`),
      'analytics/schema.prisma': SCHEMA,
      'packages/old/prisma/schema.prisma': SCHEMA,
    })
    await host.run('install', [], { config: 'prisma.analytics.config.ts' })
    await host.run('attempt')
    expect(host.read('analytics/schema.prisma')).toContain('model Attempt {')
    for (const decoy of ['prisma/schema.prisma', 'packages/old/prisma/schema.prisma'])
      expect(host.read(decoy)).toBe(SCHEMA)
    await destroy({ cwd: host.root, generator: 'attempt' })
    expect(host.read('analytics/schema.prisma')).not.toContain('model Attempt {')
  })

  it('by a config that is not there: refused', async () => {
    await expect(sampleHost().run('install', [], { config: 'nothing.config.ts' })).rejects.toMatchObject({
      code: 'PRISMA_CONFIG_INVALID',
    })
  })

  it('beside migrations without a time in their names, after which ours sort', async () => {
    const host = sampleHost({
      'prisma/migrations/0_init/migration.sql': '',
      'prisma/migrations/baseline/migration.sql': '',
    })
    await host.run('install')
    const [zero, ours] = host.files().filter((path) => path.endsWith('migration.sql'))
    expect(zero).toContain('/0_init/')
    expect(ours).toMatch(/\/\d{14}_create_toasts\//)
  })

  it('with either provider of a client, with and without an output', async () => {
    for (const generator of [
      'provider = "prisma-client"\n  output = "../src/generated"',
      'provider = "prisma-client-js"',
    ]) {
      const host = sampleHost({
        'prisma/schema.prisma': SCHEMA.replace(/provider = "prisma-client"\n {2}output {3}= .*/, generator),
      })
      expect((await host.run('install')).status).toBe('applied')
      const [provider] = (await info({ cwd: host.root })).generators
      expect(generator).toContain(provider!.provider)
    }
  })
})

describe('the client is found', () => {
  const CLIENT = 'export const prisma = new PrismaClient()\n'

  it('by a path alias, which becomes the relative path that runs everywhere', async () => {
    const host = sampleHost({
      'src/db.ts': null,
      'src/lib/db/index.ts': CLIENT,
      'tsconfig.json': '{ "compilerOptions": { "module": "nodenext", "paths": { "@/*": ["./src/*"] } } }',
    })
    await host.run('install', [], { client: '@/lib/db' })
    expect(host.read('src/async/database.ts')).toContain("import { prisma } from '../lib/db/index.js'")
    await host.run('attempt')
  })

  it('by a path alias that only a referenced tsconfig.app.json has, whose options count too', async () => {
    const host = sampleHost({
      'src/db.ts': null,
      'src/lib/db.ts': CLIENT,
      'tsconfig.json':
        '{ "files": [], "references": [{ "path": "./tsconfig.node.json" }, { "path": "./tsconfig.app.json" }] }',
      'tsconfig.node.json': '{ "compilerOptions": { "module": "nodenext" }, "include": ["vite.config.ts"] }',
      'tsconfig.app.json':
        '{ "compilerOptions": { "module": "esnext", "moduleResolution": "bundler", "allowImportingTsExtensions": true, "noEmit": true, "paths": { "~/*": ["./src/*"] } }, "include": ["src"] }',
    })
    await host.run('install', [], { client: '~/lib/db' })
    expect(host.read('src/async/database.ts')).toContain("import { prisma } from '../lib/db.ts'")
    expect((await info({ cwd: host.root })).paths).toEqual({ '~/*': ['./src/*'] })
  })

  it('in a package of the workspace, by its name and its export', async () => {
    const host = sampleHost({ 'src/db.ts': null, 'node_modules/@acme/db/package.json': '{}' })
    await host.run('install', [], { client: '@acme/db#client' })
    expect(host.read('async/database.ts')).toContain("import { client as prisma } from '@acme/db'")
    await expect(host.run('install', [], { client: '@acme/other#client' })).rejects.toMatchObject({
      code: 'CLIENT_NOT_FOUND',
    })
    await expect(host.run('install', [], { client: '@acme/db' })).rejects.toMatchObject({ code: 'CLIENT_NOT_FOUND' })
  })

  it('by an import of the package itself', async () => {
    const host = sampleHost({ 'src/db.ts': null })
    await host.run('install', [], { client: '#db#prisma' })
    expect(host.read('async/database.ts')).toContain("import { prisma } from '#db'")
    expect((await host.run('install')).status).toBe('nothing to do')
  })
})

describe('the package manager is that of the workspace', () => {
  it.each([
    ['npm', 'package-lock.json', 'npm install', 'npx prisma'],
    ['pnpm', 'pnpm-lock.yaml', 'pnpm install', 'pnpm exec prisma'],
    ['yarn', 'yarn.lock', 'yarn install', 'yarn prisma'],
    ['bun', 'bun.lock', 'bun install', 'bunx prisma'],
  ])('%s', async (name, lockFile, install, exec) => {
    const host = sampleHost({ [lockFile]: '', 'node_modules/@async-gen/runtime/package.json': '{}' })
    const { nextSteps } = await host.run('install')
    expect(nextSteps[0]).toBe(install)
    expect(nextSteps[1]).toContain(exec)
    expect('tsx' in JSON.parse(host.read('package.json')).devDependencies).toBe(name !== 'bun')
  })
})

describe('what git ignores is named, since the others of the team would not get it', () => {
  const ignoring = (line: string) => {
    const host = sampleHost({ '.gitignore': line })
    spawnSync('git', ['init', '--quiet'], { cwd: host.root })
    return host
  }

  it('code, with what to change', async () => {
    const { plan } = await ignoring('src/async/worker.ts\n').run('install')
    expect(plan.notes).toEqual(['git ignores src/async/worker.ts: change .gitignore, so that you can commit them'])
  })

  it('a migration, with the flag for the folder that a script fills it from, which is remembered', async () => {
    const host = ignoring('prisma/migrations\n')
    const { plan } = await host.run('install', [], { dryRun: true })
    expect(plan.notes).toEqual([
      expect.stringMatching(
        /^git ignores prisma\/migrations\/\d+_create_toasts\/migration\.sql, .*: .*--migrations <folder>/,
      ),
    ])
    expect((await host.run('install', [], { migrations: 'prisma/sql/' })).plan.notes).toEqual([])
    await host.run('attempt')
    const written = host.files().filter((path) => path.endsWith('/migration.sql'))
    expect(written.filter((path) => !path.startsWith('prisma/sql/'))).toEqual([])
    expect(written.join()).toMatch(/_create_toasts\/.*_create_attempts\//)
    await expect(host.run('reports', [], { migrations: '../elsewhere' })).rejects.toMatchObject({
      code: 'MIGRATIONS_INVALID',
    })
  })
})

describe('a migration whose file was lost', () => {
  it('stays away, with the command that writes it again, under its name and as it was', async () => {
    const host = sampleHost()
    await host.run('install')
    const paths = host.files().filter((file) => file.endsWith('/migration.sql'))
    const sql = paths.map(host.read)
    host.remove('prisma/migrations')

    const { plan } = await host.run('install')
    const detail = expect.stringContaining('npx async-gen upgrade --restore-migrations')
    for (const path of paths) expect(plan.changes).toContainEqual({ kind: 'removed', path, detail })
    expect((await upgrade({ cwd: host.root })).status).toBe('nothing to do')
    await upgrade({ cwd: host.root, restoreMigrations: true })
    expect(paths.map(host.read)).toEqual(sql)
    expect((await upgrade({ cwd: host.root, restoreMigrations: true })).status).toBe('nothing to do')
  })
})

describe('the variable that the URL is in', () => {
  const config = `import { defineConfig, env } from 'prisma/config'\nexport default defineConfig({ datasource: { url: env('POSTGRES_PRISMA_URL') } })\n`
  const client = (adapter: string) =>
    `import { PrismaClient } from './generated/client.js'\nexport const prisma = new PrismaClient({ adapter: ${adapter} })\n`

  it.each([
    ['of the client', { 'src/db.ts': client('new PrismaPg(process.env.SHOP_URL)') }, 'process.env.SHOP_URL'],
    [
      'of the client, before that of the config',
      { 'src/db.ts': client('new PrismaPg(process.env.SHOP_URL)'), 'prisma.config.ts': config },
      'process.env.SHOP_URL',
    ],
    ['of the config', { 'prisma.config.ts': config }, 'process.env.POSTGRES_PRISMA_URL'],
    [
      'of the client, and the one in its place',
      { 'src/db.ts': client('new PrismaPg(process.env.A_URL || process.env.B_URL)') },
      'process.env.A_URL ?? process.env.B_URL',
    ],
    ['of every example', {}, 'process.env.DATABASE_URL'],
  ])('is the one %s', async (_what, files, variable) => {
    const host = sampleHost(files)
    await host.run('install')
    expect(host.read('src/async/database.ts')).toContain(`{ connectionString: ${variable} }`)
    expect((await host.run('install')).status).toBe('nothing to do')
    expect((await upgrade({ cwd: host.root })).status).toBe('nothing to do')
  })

  it('is the one that doctor reads', async () => {
    const host = sampleHost({ 'prisma.config.ts': config }, { packages: ['pg', 'graphile-worker'] })
    await host.run('install')
    process.env.POSTGRES_PRISMA_URL = 'postgres://127.0.0.1:1/nothing'
    try {
      const { findings } = await doctor({ cwd: host.root })
      expect(findings.map(({ code }) => code)).toContain('DATABASE_UNREACHABLE')
    } finally {
      delete process.env.POSTGRES_PRISMA_URL
    }
  })
})

describe('another async-gen than the one of the project', () => {
  it('is said by a run and by doctor, in a line', async () => {
    const installed = JSON.stringify({ name: 'async-gen', version: '0.0.9' })
    const host = sampleHost({
      'package.json': '{ "name": "host", "devDependencies": { "prisma": "^7.0.0", "async-gen": "^0.0.9" } }\n',
      'node_modules/async-gen/package.json': installed,
    })
    const line = /this is async-gen [\d.]+, but the project has installed 0\.0\.9: run npx async-gen/i
    expect((await host.run('install')).plan.notes).toContainEqual(expect.stringMatching(line))
    const { findings } = await doctor({ cwd: host.root })
    expect(findings).toContainEqual(
      expect.objectContaining({ code: 'OTHER_VERSION', message: expect.stringMatching(line) }),
    )
  })
})
