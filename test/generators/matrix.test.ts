import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, inject, it } from 'vitest'
import { hashOf } from '../../generators/changes/manifest.js'
import { destroy } from '../../generators/commands/destroy.js'
import { generate, type PlanOutcome } from '../../generators/commands/generate.js'
import { upgrade } from '../../generators/commands/upgrade.js'
import type { GeneratorName } from '../../generators/definitions/generator.js'
import { REPOSITORY } from '../support/host.js'
import { createDatabase, query } from '../support/postgres.js'
import { prisma } from '../support/prisma.js'
import { run } from '../support/run.js'
import { packageJsonOf, runEmittedSpecs, type SpecRunner } from '../support/specs.js'

const SCHEMAS = ['single', 'folder', 'custom'] as const
const MODULES = ['nodenext', 'commonjs', 'bundler'] as const
const FORMATTERS = ['prettier', 'biome', null] as const
const RUNNERS = ['vitest', 'jest', 'node:test'] as const

interface Shape {
  schema: (typeof SCHEMAS)[number]
  modules: (typeof MODULES)[number]
  formatter: (typeof FORMATTERS)[number]
  runner: SpecRunner
  packageManager: 'npm' | 'pnpm'
}

/**
 * Every pair of two choices stands in one of these nine hosts: two orthogonal Latin squares, and the package managers across the first.
 * Nine hosts cannot also have each runner with each package manager.
 */
const SHAPES: Shape[] = SCHEMAS.flatMap((schema, i) =>
  MODULES.map((modules, j) => ({
    schema,
    modules,
    formatter: FORMATTERS[(i + j) % 3]!,
    runner: RUNNERS[(i + 2 * j) % 3]!,
    packageManager: (i + 2 * j) % 3 === 1 ? ('pnpm' as const) : ('npm' as const),
  })),
)

it('the hosts of the matrix hold every pair of choices', () => {
  const names = ['schema', 'modules', 'formatter', 'runner', 'packageManager'] as const
  for (const a of names) {
    for (const b of names) {
      if (a === b || [a, b].sort().join() === 'packageManager,runner') continue
      const pairs = (shapes: Shape[]) => new Set(shapes.map((shape) => `${shape[a]} ${shape[b]}`)).size
      const choices = (name: (typeof names)[number]) => new Set(SHAPES.map((shape) => shape[name])).size
      expect(pairs(SHAPES), `${a}, ${b}`).toBe(choices(a) * choices(b))
    }
  }
})

const RUNS: [GeneratorName, string[]][] = [
  ['install', []],
  ['attempt', ['EmailAttempt']],
  ['reports', ['MonthlySales']],
  ['dashboard', []],
]

/** The steps of a team, in this order. Hosts that share a step need one start of its program. */
describe('in a host with a', () => {
  // Inside the repository, so that all hosts share its packages.
  const folder = join(REPOSITORY, 'test', '.matrix')
  mkdirSync(folder, { recursive: true })
  const top = mkdtempSync(join(folder, 'hosts-'))
  afterAll(() => rmSync(top, { recursive: true, force: true }))

  const hosts = SHAPES.map((shape) => makeHost(top, shape))
  const starts = new Map(hosts.map((host) => [host, host.hash()]))

  it.each(hosts)(
    '$schema schema, $modules, $formatter, $runner, $packageManager: generators write their files',
    async ({ root }) => {
      for (const [generator, names] of RUNS) {
        const outcome = await generate({ cwd: root, generator, names })
        expect(outcome.status, lines(outcome)).toBe('applied')
      }
    },
  )

  it.each(hosts)(
    '$schema schema, $modules, $formatter, $runner, $packageManager: its formatter accepts the files',
    async ({ root, formatter }) => {
      if (formatter) await run(root, program(formatter), [CHECK[formatter], 'src/async', '.async-gen/manifest.json'])
    },
  )

  it.each(hosts)(
    '$schema schema, $modules, $formatter, $runner, $packageManager: a second run changes nothing',
    async (host) => {
      const generated = host.hash()
      for (const [generator, names] of RUNS)
        expect((await generate({ cwd: host.root, generator, names })).status).toBe('nothing to do')
      expect(host.hash()).toBe(generated)
    },
  )

  it.each(MODULES)('tsconfig for %s: the files compile under strict', async (modules) => {
    const those = hosts.filter((host) => host.modules === modules)
    await generateClient(those)
    const tsconfig = join(top, `tsconfig.${modules}.json`)
    const include = those.map(({ root }) => join(root, 'src'))
    const exclude = include.map((src) => join(src, 'generated'))
    writeFileSync(tsconfig, JSON.stringify({ extends: join(those[0]!.root, 'tsconfig.json'), include, exclude }))
    await run(top, program('tsc'), ['--project', tsconfig, '--singleThreaded'])
  })

  it.each(RUNNERS)('package.json with %s: the migrations run, and the specs pass', async (runner) => {
    const those = hosts.filter((host) => host.runner === runner)
    const [migrations, ...others] = those.map(migrationsOf)
    for (const other of others) expect(other).toEqual(migrations)
    const url = await createDatabase(inject('postgres'))
    for (const sql of migrations!) await query(url, sql)

    const { stdout, stderr } = await runEmittedSpecs(folderOf(top, runner), runner, { env: { DATABASE_URL: url } })
    expect(stdout + stderr).toMatch(PASSED[runner])
  })

  it.each(hosts)(
    '$schema schema, $modules, $formatter, $runner, $packageManager: an upgrade keeps the edits of the team',
    upgradeFromOlder,
  )

  it.each(hosts)(
    '$schema schema, $modules, $formatter, $runner, $packageManager: destroy leaves it as it was',
    async (host) => {
      for (const [generator] of RUNS.toReversed())
        await destroy({ cwd: host.root, generator, migration: 'delete-unchecked' })
      expect(host.hash()).toBe(starts.get(host))
    },
  )
})

/** The client depends on the kind of modules alone: the first of these hosts generates it for all. */
async function generateClient([first, ...others]: MatrixHost[]) {
  await prisma(first!.root, ['generate'])
  const client = join(first!.root, 'src', 'generated')
  for (const { root } of others) symlinkSync(client, join(root, 'src', 'generated'), 'dir')
}

function migrationsOf({ files, read }: MatrixHost): string[] {
  return files()
    .filter((path) => path.endsWith('/migration.sql'))
    .map(read)
}

/** All four files of specs have run, in each of three hosts. */
const PASSED = {
  vitest: /Test Files +12 passed \(12\)/,
  jest: /Test Suites: 12 passed, 12 total/,
  'node:test': /# pass 30\n# fail 0/,
}

/**
 * Makes the host one that an older version wrote, and that its team has edited: the version emitted `// older` at the
 * top of a file, and the team has a line of its own at the end. After the upgrade only the team's line is left.
 */
async function upgradeFromOlder(host: MatrixHost) {
  const generated = host.hash()
  const path = 'src/async/email_attempt.ts'
  const emitted = host.read(path)
  const older = `// older\n${emitted}`
  const manifest = JSON.parse(host.read('.async-gen/manifest.json'))
  manifest.asyncGen = '0.0.1'
  manifest.files[path].hash = hashOf(older)
  host.write('.async-gen/manifest.json', JSON.stringify(manifest))
  host.write(`.async-gen/base/${path}.base`, older)
  host.write(path, `${older}export const mine = 1${emitted.includes(';') ? ';' : ''}\n`)
  const schemaFile = SCHEMA_FILES[host.schema]
  const models = host.read(schemaFile)
  host.write(schemaFile, `${models}\n/// Mine.\nmodel Mine {\n  id Int @id\n}\n`)

  const { plan } = await upgrade({ cwd: host.root })
  expect(plan.changes).toContainEqual({ kind: 'merge', path })
  expect(host.read(path)).toBe(`${emitted}export const mine = 1${emitted.includes(';') ? ';' : ''}\n`)
  expect(host.read(schemaFile)).toContain('model Mine {')

  host.write(path, emitted)
  host.write(schemaFile, models)
  expect(host.hash()).toBe(generated)
}

const SCHEMA_FILES = { single: 'prisma/schema.prisma', folder: 'prisma/schema/main.prisma', custom: 'db/app.prisma' }

const CHECK = { prettier: '--check', biome: 'ci' }

/** Of the packages that all hosts share. */
function program(name: string): string {
  return join(REPOSITORY, 'node_modules', '.bin', name)
}

type MatrixHost = ReturnType<typeof makeHost>

/** The folder of the hosts with a test runner. */
function folderOf(top: string, runner: SpecRunner) {
  return join(top, runner.replace(':', '-'))
}

function makeHost(parent: string, shape: Shape) {
  const { schema, modules, formatter, runner, packageManager } = shape
  const name = `${schema}-${modules}`
  const top = join(folderOf(parent, runner), name)
  // A host of a workspace is a folder of it; the lock file is at the top.
  const root = packageManager === 'pnpm' ? join(top, 'packages', 'app') : top
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const esm = modules !== 'commonjs'
  const ext = modules === 'nodenext' ? '.js' : ''
  const output = dirname(SCHEMA_FILES[schema])
    .split('/')
    .map(() => '..')
    .join('/')
  const schemaPath = { single: undefined, folder: 'prisma/schema', custom: 'db/app.prisma' }[schema]

  const dependencies = { '@prisma/client': '7', prisma: '7' }
  const packageJson = { name, ...(esm && { type: 'module' }), dependencies, ...packageJsonOf(runner) }
  write('package.json', `${JSON.stringify(packageJson, null, 2)}\n`)
  write(
    'tsconfig.json',
    JSON.stringify({
      compilerOptions: {
        target: modules === 'bundler' ? 'es2017' : 'es2022',
        ...(modules === 'bundler'
          ? { module: 'esnext', moduleResolution: 'bundler', paths: { '@/*': ['./src/*'] } }
          : { module: 'nodenext' }),
        strict: true,
        declaration: true,
        noUncheckedIndexedAccess: true,
        noImplicitOverride: true,
        exactOptionalPropertyTypes: true,
        erasableSyntaxOnly: true,
        noPropertyAccessFromIndexSignature: modules === 'nodenext',
        verbatimModuleSyntax: esm,
        skipLibCheck: false,
        noEmit: true,
        types: ['node'],
      },
      include: ['src'],
      exclude: ['src/generated'],
    }),
  )
  write(
    'prisma.config.ts',
    `import { defineConfig } from 'prisma/config'\n\nexport default defineConfig(${JSON.stringify({ schema: schemaPath, migrations: { path: 'db/migrations' } })})\n`,
  )
  write(
    SCHEMA_FILES[schema],
    `generator client {\n  provider = "prisma-client"\n  output   = "${output}/src/generated"\n}\n\ndatasource db {\n  provider = "postgresql"\n}\n\nmodel Order {\n  id Int @id\n}\n`,
  )
  write(
    'db/migrations/20240101000000_init/migration.sql',
    'CREATE TABLE "Order" ("id" INTEGER NOT NULL, CONSTRAINT "Order_pkey" PRIMARY KEY ("id"));\n',
  )
  write(
    'src/lib/db.ts',
    `import { PrismaPg } from '@prisma/adapter-pg'\nimport { PrismaClient } from '../generated/client${ext}'\n\nexport const db = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env['DATABASE_URL']! }) })\n`,
  )
  // The repository's own configuration ends here, for git, formatters and vitest.
  write('vitest.config.mjs', 'export default {}\n')
  mkdirSync(join(top, '.git'))
  if (formatter === 'prettier') write('.prettierrc', '{ "semi": true, "tabWidth": 4 }\n')
  if (formatter === 'biome') write('biome.json', '{ "root": true, "formatter": { "indentStyle": "tab" } }\n')
  writeFileSync(join(top, packageManager === 'pnpm' ? 'pnpm-lock.yaml' : 'package-lock.json'), '')

  const files = () =>
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
      .filter((path) => !/^(src\/generated|node_modules)\//.test(path))
      .sort()
  const read = (path: string) => readFileSync(join(root, path), 'utf8')
  const hash = () => {
    const sum = createHash('sha256')
    for (const path of files()) sum.update(path).update(read(path))
    return sum.digest('hex')
  }
  return { ...shape, root, write, read, files, hash }
}

function lines({ plan }: PlanOutcome): string {
  return plan.changes.map(({ kind, path }) => `${kind} ${path}`).join('\n')
}
