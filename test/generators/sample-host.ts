import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { type GenerateRequest, generate, type PlanOutcome } from '../../generators/commands/generate.js'

const PRISMA = fileURLToPath(new URL('../../node_modules/prisma', import.meta.url))

export const SCHEMA = `generator client {
  provider = "prisma-client"
  output   = "../src/generated"
}

datasource db {
  provider = "postgresql"
}

model Order {
  id Int @id
}
`

const FILES: Record<string, string | null> = {
  'package.json': `${JSON.stringify({ name: 'host', type: 'module', dependencies: { prisma: '^7.0.0' }, devDependencies: { vitest: '^4.0.0' } }, null, 2)}\n`,
  'tsconfig.json': '{ "compilerOptions": { "module": "nodenext" } }\n',
  'prisma/schema.prisma': SCHEMA,
  'src/db.ts':
    "import { PrismaClient } from './generated/client.js'\n\nexport const prisma = new PrismaClient({ adapter })\n",
}

/** A small host in a temporary folder, gone after the test. `files` adds to it, replaces, or with null leaves out. */
export function sampleHost(
  files: Record<string, string | null> = {},
  {
    prisma = PRISMA,
    packages = [],
    root = mkdtempSync(join(tmpdir(), 'async-gen-host-')),
  }: { prisma?: string; packages?: string[]; root?: string } = {},
) {
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  const write = (path: string, text: string) => {
    const folder = dirname(join(root, path))
    mkdirSync(folder, { recursive: true })
    // node_modules has links to packages of this repository.
    if (!realpathSync(folder).startsWith(realpathSync(root))) throw new Error(`${path} is outside of the host.`)
    writeFileSync(join(root, path), text)
  }
  for (const [path, text] of Object.entries({ ...FILES, ...files })) if (text !== null) write(path, text)
  if (prisma !== 'none' && !existsSync(join(root, 'node_modules/prisma'))) {
    mkdirSync(join(root, 'node_modules'), { recursive: true })
    symlinkSync(prisma, join(root, 'node_modules/prisma'), 'dir')
  }
  for (const name of packages) {
    mkdirSync(dirname(join(root, 'node_modules', name)), { recursive: true })
    symlinkSync(join(PRISMA, '..', name), join(root, 'node_modules', name), 'dir')
  }
  return {
    root,
    write,
    read: (path: string) => readFileSync(join(root, path), 'utf8'),
    has: (path: string) => existsSync(join(root, path)),
    remove: (path: string) => rmSync(join(root, path), { recursive: true }),
    files: () => filesUnder(root),
    hash: () => hashOf(root),
    run: (generator: GenerateRequest['generator'], names: string[] = [], request: Partial<GenerateRequest> = {}) =>
      generate({ generator, names, cwd: root, ...request }),
  }
}

/** A run of a generator: `['attempt', ['EmailAttempt']]`. */
export type GeneratorRun = [
  generator: GenerateRequest['generator'],
  names?: string[],
  request?: Partial<GenerateRequest>,
]

/** The files of each kind of host after its runs. */
const generated = new Map<string, Record<string, string>>()

/** A sample host in which generators have run. They run once for each kind of host, and write the files of all. */
export async function generatedHost(
  runs: GeneratorRun[],
  files: Record<string, string | null> = {},
  options: { packages?: string[] } = {},
) {
  const kind = JSON.stringify([runs, files, options])
  const known = generated.get(kind)
  if (known) return sampleHost({ ...files, ...known }, options)
  const host = sampleHost(files, options)
  for (const run of runs) await host.run(...run)
  generated.set(kind, Object.fromEntries(host.files().map((path) => [path, host.read(path)])))
  return host
}

/** The same with a folder schema, and a prisma.config that names it. */
export function folderHost(files: Record<string, string> = {}) {
  return sampleHost({
    'prisma/schema.prisma': null,
    'prisma/schema/main.prisma': SCHEMA,
    'prisma.config.ts': `import { defineConfig } from 'prisma/config'\nexport default defineConfig({ schema: 'prisma/schema', migrations: { path: 'prisma/migrations' } })\n`,
    ...files,
  })
}

export type SampleHost = ReturnType<typeof sampleHost>

/** `create src/async/attempt.ts`, a line for each change. */
export function lines({ plan }: PlanOutcome): string[] {
  return plan.changes.map(({ kind, path }) => `${kind} ${path}`)
}

export function kinds({ plan }: PlanOutcome): string[] {
  return [...new Set(plan.changes.map(({ kind }) => kind))]
}

function filesUnder(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter((path) => !path.startsWith('node_modules/'))
    .sort()
}

function hashOf(root: string): string {
  const hash = createHash('sha256')
  for (const path of filesUnder(root)) hash.update(path).update(readFileSync(join(root, path)))
  return hash.digest('hex')
}
