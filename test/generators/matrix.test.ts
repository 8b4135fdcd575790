import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, inject, it } from 'vitest'
import { hashOf } from '../../generators/changes/manifest.js'
import { destroy } from '../../generators/commands/destroy.js'
import { generate, type PlanOutcome } from '../../generators/commands/generate.js'
import { upgrade } from '../../generators/commands/upgrade.js'
import type { GeneratorName } from '../../generators/definitions/generator.js'
import { gate } from '../support/gate.js'
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
const SHAPES: Shape[] = MODULES.flatMap((_, shift) =>
  SCHEMAS.map((schema, i) => {
    // The hosts of the first round generate the clients for all.
    const j = (i + shift) % 3
    return {
      schema,
      modules: MODULES[j]!,
      formatter: FORMATTERS[(i + j) % 3]!,
      runner: RUNNERS[(i + 2 * j) % 3]!,
      packageManager: (i + 2 * j) % 3 === 1 ? ('pnpm' as const) : ('npm' as const),
    }
  }),
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

describe.concurrent('a host with', () => {
  it.each(SHAPES)(
    'a $schema schema, $modules, formatted by $formatter, tested by $runner, of $packageManager',
    async (shape) => {
      const host = makeHost(shape)
      const { root } = host
      try {
        const url = await createDatabase(inject('postgres'))
        const env = { DATABASE_URL: url }
        const start = host.hash()

        for (const [generator, names] of RUNS) {
          const outcome = await generate({ cwd: root, generator, names })
          expect(outcome.status, lines(outcome)).toBe('applied')
        }
        await generateClient(host, shape)
        await run(root, program('tsc'), [
          '--noEmit',
          '--singleThreaded',
          ...(isOnDiagonal(shape) ? [] : ['--skipLibCheck']),
        ])
        if (shape.formatter) await expectFormatted(root, shape.formatter)

        const afterRuns = host.hash()
        for (const [generator, names] of RUNS) {
          expect((await generate({ cwd: root, generator, names })).status).toBe('nothing to do')
        }
        expect(host.hash()).toBe(afterRuns)

        for (const path of host.files().filter((file) => file.endsWith('/migration.sql')))
          await query(url, host.read(path))
        const { stdout, stderr } = await runEmittedSpecs(root, shape.runner, { env })
        expect(stdout + stderr).toMatch(PASSED[shape.runner])

        await upgradeFromOlder(host, shape)
        expect(host.hash()).toBe(afterRuns)

        for (const [generator] of RUNS.toReversed())
          await destroy({ cwd: root, generator, migration: 'delete-unchecked' })
        expect(host.hash()).toBe(start)
      } finally {
        if (isOnDiagonal(shape)) generated.get(shape.modules)!.open()
        rmSync(host.top, { recursive: true, force: true })
      }
    },
    600_000,
  )
})

/** The hosts on it have, between them, each schema and each kind of module. */
function isOnDiagonal({ schema, modules }: Shape): boolean {
  return SCHEMAS.indexOf(schema) === MODULES.indexOf(modules)
}

/** For each kind of module, that the host on the diagonal has its client. */
const generated = new Map(MODULES.map((modules) => [modules, gate()]))
const CLIENTS = mkdtempSync(join(tmpdir(), 'async-gen-clients-'))
afterAll(() => rmSync(CLIENTS, { recursive: true }))

/** The client depends on the kind of modules alone, so three hosts generate it, and the others copy it. */
async function generateClient({ root }: MatrixHost, shape: Shape): Promise<void> {
  const [own, shared] = [join(root, 'src', 'generated'), join(CLIENTS, shape.modules)]
  if (isOnDiagonal(shape)) {
    await prisma(root, ['generate'])
    cpSync(own, shared, { recursive: true })
    generated.get(shape.modules)!.open()
  } else {
    await generated.get(shape.modules)!.opened
    cpSync(shared, own, { recursive: true })
  }
}

/** All four files of specs have run. */
const PASSED = {
  vitest: /Test Files +4 passed \(4\)/,
  jest: /Test Suites: 4 passed, 4 total/,
  'node:test': /# pass 10\n# fail 0/,
}

/**
 * Makes the host one that an older version wrote, and that its team has edited: the version emitted `// older` at the
 * top of a file, and the team has a line of its own at the end. After the upgrade only the team's line is left.
 */
async function upgradeFromOlder(host: MatrixHost, { schema }: Shape) {
  const path = 'src/async/email_attempt.ts'
  const emitted = host.read(path)
  const older = `// older\n${emitted}`
  const manifest = JSON.parse(host.read('.async-gen/manifest.json'))
  manifest.asyncGen = '0.0.1'
  manifest.files[path].hash = hashOf(older)
  host.write('.async-gen/manifest.json', JSON.stringify(manifest))
  host.write(`.async-gen/base/${path}.base`, older)
  host.write(path, `${older}export const mine = 1${emitted.includes(';') ? ';' : ''}\n`)
  const schemaFile = SCHEMA_FILES[schema]
  const models = host.read(schemaFile)
  host.write(schemaFile, `${models}\n/// Mine.\nmodel Mine {\n  id Int @id\n}\n`)

  const { plan } = await upgrade({ cwd: host.root })
  expect(plan.changes).toContainEqual({ kind: 'merge', path })
  expect(host.read(path)).toBe(`${emitted}export const mine = 1${emitted.includes(';') ? ';' : ''}\n`)
  expect(host.read(schemaFile)).toContain('model Mine {')

  host.write(path, emitted)
  host.write(schemaFile, models)
}

const SCHEMA_FILES = { single: 'prisma/schema.prisma', folder: 'prisma/schema/main.prisma', custom: 'db/app.prisma' }

const CHECK = { prettier: '--check', biome: 'ci' }

async function expectFormatted(root: string, formatter: keyof typeof CHECK) {
  await run(root, program(formatter), [CHECK[formatter], 'src/async', '.async-gen/manifest.json'])
}

/** Of the packages that all hosts share. */
function program(name: string): string {
  return join(REPOSITORY, 'node_modules', '.bin', name)
}

type MatrixHost = ReturnType<typeof makeHost>

/** Inside the repository, so that all hosts share its packages. */
function makeHost({ schema, modules, formatter, runner, packageManager }: Shape) {
  mkdirSync(join(REPOSITORY, 'test', '.matrix'), { recursive: true })
  const top = mkdtempSync(join(REPOSITORY, 'test', '.matrix', `${schema}-${modules}-`))
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
  const packageJson = { name: 'host', ...(esm && { type: 'module' }), dependencies, ...packageJsonOf(runner) }
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
  return { top, root, write, read, files, hash }
}

function lines({ plan }: PlanOutcome): string {
  return plan.changes.map(({ kind, path }) => `${kind} ${path}`).join('\n')
}
