import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { REPOSITORY } from '../../test/support/host.js'
import type { BenchContext } from '../context.js'
import type { Row, Table } from '../result.js'
import { addValues } from '../rounds.js'

const CLI = join(REPOSITORY, 'dist', 'bin', 'async-gen.js')

const COMMANDS = {
  'async-gen --help': ['--help'],
  'async-gen install': ['install', '--yes'],
  'async-gen install, a second time': ['install', '--yes'],
  'async-gen upgrade': ['upgrade', '--yes'],
}

/** How long the commands of the command line take in hosts of several sizes. */
export async function cli({ short }: BenchContext): Promise<Table[]> {
  const sizes = short ? [500] : [5, 50, 500]
  const rounds = short ? 1 : 7
  const names = ['node -e 0', ...Object.keys(COMMANDS)]
  const rows: Row[] = names.map((name) => ({ name, values: {} }))
  const folder = mkdtempSync(join(tmpdir(), 'async-gen-bench-'))
  try {
    for (const size of sizes) createHost(join(folder, `${size}`), size)
    for (let round = 0; round < rounds; round++) {
      for (const size of sizes) {
        const host = join(folder, `${size}-${round}`)
        cpSync(join(folder, `${size}`), host, { recursive: true, verbatimSymlinks: true })
        const add = (row: number, took: number) => addValues(rows[row]!, { [`models${size}`]: took })
        add(0, timeOf(host, ['-e', '0']))
        for (const [i, command] of Object.values(COMMANDS).entries()) add(i + 1, timeOf(host, [CLI, ...command]))
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return [
    {
      id: 'cli',
      title: 'The command line',
      method: 'Each command as a process of its own, in hosts whose Prisma schema has 5, 50 and 500 models.',
      columns: sizes.map((size) => ({ key: `models${size}`, title: `ms, ${size} models`, digits: 0 })),
      rows,
    },
  ]
}

/** Milliseconds. */
function timeOf(cwd: string, args: string[]): number {
  const started = performance.now()
  const { status, stderr } = spawnSync(process.execPath, args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, CI: 'true' },
  })
  if (status !== 0) throw new Error(`node ${args.join(' ')} ended with ${status}:\n${stderr}`)
  return performance.now() - started
}

function createHost(root: string, models: number): void {
  const files = {
    'package.json': JSON.stringify({
      name: 'host',
      type: 'module',
      dependencies: { prisma: '^7.0.0' },
      devDependencies: { vitest: '^4.0.0' },
    }),
    'tsconfig.json': '{ "compilerOptions": { "module": "nodenext" } }\n',
    'prisma.config.ts':
      "import { defineConfig } from 'prisma/config'\n\nexport default defineConfig({ schema: 'prisma/schema.prisma' })\n",
    'prisma/schema.prisma': schemaOf(models),
    'src/db.ts':
      "import { PrismaClient } from './generated/client.js'\n\nexport const prisma = new PrismaClient({ adapter })\n",
  }
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  mkdirSync(join(root, 'node_modules'))
  symlinkSync(join(REPOSITORY, 'node_modules', 'prisma'), join(root, 'node_modules', 'prisma'), 'dir')
}

function schemaOf(models: number): string {
  const head = `generator client {\n  provider = "prisma-client"\n  output   = "../src/generated"\n}\n\ndatasource db {\n  provider = "postgresql"\n}\n`
  const model = (i: number) => `
/// One of many.
model Model${i} {
  id        Int      @id @default(autoincrement())
  name      String   @unique
  email     String?
  amount    Decimal  @default(0)
  isActive  Boolean  @default(true)
  createdAt DateTime @default(now())
  updatedAt DateTime @updatedAt
  parentId  Int?
  parent    Model${i}?  @relation("tree", fields: [parentId], references: [id])
  children  Model${i}[] @relation("tree")

  @@index([parentId, createdAt])
}
`
  return head + Array.from({ length: models }, (_, i) => model(i)).join('')
}
