import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { destroy } from '../../generators/commands/destroy.js'
import { generate } from '../../generators/commands/generate.js'
import { upgrade } from '../../generators/commands/upgrade.js'
import { eventually } from '../support/eventually.js'
import { REPOSITORY } from '../support/host.js'
import { createDatabase, query } from '../support/postgres.js'
import { prisma } from '../support/prisma.js'
import { run } from '../support/run.js'
import { startWorker } from '../support/worker.js'

const IMPORTS = `import { PrismaPg } from '@prisma/adapter-pg'
import { PrismaClient } from './generated/client'

const adapter = new PrismaPg({ connectionString: process.env.SHOP_URL! })
`

const SERVICE = `import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common'
${IMPORTS}
@Injectable()
export class PrismaService extends PrismaClient implements OnModuleInit, OnModuleDestroy {
  constructor() {
    super({ adapter })
  }
  async onModuleInit() {
    await this.$connect()
  }
  async onModuleDestroy() {
    await this.$disconnect()
  }
}
`

const SERVICE_WITH_ARGUMENTS = SERVICE.replace('constructor() {', 'constructor(readonly settings: { log: boolean }) {')

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

const TSC = join(REPOSITORY, 'node_modules', '.bin', 'tsc')

const TSCONFIG = {
  compilerOptions: {
    target: 'es2022',
    module: 'nodenext',
    strict: true,
    declaration: true,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    skipLibCheck: true,
    noEmit: true,
    types: ['node'],
  },
}

const CLIENTS: [what: string, code: string][] = [
  [
    'a client that is extended in production alone',
    "const base = new PrismaClient({ adapter })\nconst extended = base.$extends({ result: { order: { label: { needs: { id: true }, compute: ({ id }) => String(id) } } }, query: { $allModels: { findMany: ({ args, query }) => query(args) } } })\nexport const prisma = process.env.NODE_ENV === 'production' ? extended : base\n",
  ],
  [
    'a read replica behind a flag',
    "const base = new PrismaClient({ adapter })\nconst withReplica = base.$extends({ name: 'replica', client: { $replica: () => base } })\nfunction choose(): typeof base | typeof withReplica {\n  return process.env.REPLICA ? withReplica : base\n}\nexport const prisma = choose()\n",
  ],
  [
    'a function that makes the client',
    'export function makeClient() {\n  return new PrismaClient({ adapter }).$extends({})\n}\n',
  ],
  ['a module that has the client among other things', 'export default { client: new PrismaClient({ adapter }) }\n'],
]

/** Hosts side by side, so that one run of the compiler checks them all. Their clients are the same. */
describe('the emitted code compiles with', () => {
  const top = newFolder()
  const hosts = CLIENTS.map(([, code], i) => makeHost({ 'src/db.ts': IMPORTS + code }, join(top, `${i}`)))
  const nest = makeHost({ 'src/prisma.service.ts': SERVICE_WITH_ARGUMENTS }, join(top, 'nest'))
  let notes: string[]
  let errors: string[]

  beforeAll(async () => {
    for (const host of hosts) await host.generateAll()
    notes = (await nest.generateAll()).plan.notes
    await prisma(nest.root, ['generate'])
    for (const { root } of hosts) symlinkSync(join(nest.root, 'src/generated'), join(root, 'src/generated'), 'dir')
    writeFileSync(join(top, 'tsconfig.json'), JSON.stringify({ ...TSCONFIG, include: ['*/src'] }))
    const { stdout } = await run(top, TSC, ['--pretty', 'false', '--singleThreaded'], { exitCodes: [0, 1, 2] })
    errors = stdout.split('\n').filter(Boolean)
  }, 180_000)

  it.each(CLIENTS.map(([what], i) => [what, i] as const))('%s', (_what, i) => {
    expect(errors.filter((line) => line.startsWith(`${i}/`))).toEqual([])
  })

  it('a class of NestJS that wants arguments', () => {
    expect(notes).toContain(
      'src/prisma.service.ts exports no PrismaClient: src/async/client.ts makes a PrismaClient for async-gen, because PrismaService requires arguments',
    )
    expect(nest.read('src/async/client.ts')).toContain(
      'new PrismaClient({\n  adapter: new PrismaPg({ connectionString: process.env.SHOP_URL }),\n})',
    )
    expect(errors).toEqual([])
  })
})

it('an application on NestJS records in a transaction of its service, and its worker performs', async () => {
  const host = makeHost({ 'src/prisma.service.ts': SERVICE })
  const start = host.files()
  await host.generateAll()
  expect(host.read('src/async/client.ts')).toContain('export const prisma: PrismaClient = new PrismaService()')

  expect((await host.generateAll()).status).toBe('nothing to do')
  expect((await upgrade({ cwd: host.root })).status).toBe('nothing to do')

  host.write(
    'src/async/targets.ts',
    "import { defineTargets } from '@async-gen/runtime'\n\nclass Mail {\n  static async send(to: string) {\n    return { sent: to }\n  }\n}\nexport const targets = defineTargets(() => ({ Mail }))\nexport { Mail }\n",
  )
  host.write(
    'src/record.ts',
    "import 'reflect-metadata'\nimport { Attempt } from './async/attempt'\nimport { Mail } from './async/targets'\nimport { PrismaService } from './prisma.service'\n\nasync function main() {\n  const service = new PrismaService()\n  await service.onModuleInit()\n  await service.$transaction(async (tx) => {\n    await Attempt.async(Mail, { tx }).send('ada@example.com')\n  })\n  await service.onModuleDestroy()\n}\nvoid main()\n",
  )
  await host.compile()

  const url = await createDatabase(inject('postgres'))
  for (const path of host.files().filter((file) => file.endsWith('/migration.sql'))) await query(url, host.read(path))
  await run(host.root, process.execPath, ['--import', 'tsx', 'src/record.ts'], { env: { SHOP_URL: url } })
  const worker = startWorker(host.root, { SHOP_URL: url })
  try {
    const status = async () => (await query(url, 'SELECT status, result FROM attempts'))[0]
    await eventually('the end of the call', async () => !/pending|running/.test((await status())?.status ?? ''))
    expect(await status(), worker.log()).toEqual({ status: 'succeeded', result: { sent: 'ada@example.com' } })
  } finally {
    await worker.stop()
  }

  host.remove('src/record.ts')
  for (const generator of ['reports', 'attempt', 'install'] as const)
    await destroy({ cwd: host.root, generator, migration: 'delete-unchecked' })
  expect(host.files()).toEqual([...start, 'src/async/targets.ts'].sort())
}, 300_000)

/** A folder inside the repository, so that hosts share its packages. */
function newFolder(): string {
  mkdirSync(join(REPOSITORY, 'test', '.matrix'), { recursive: true })
  const folder = mkdtempSync(join(REPOSITORY, 'test', '.matrix', 'client-'))
  folders.push(folder)
  return folder
}

/** A host of CommonJS, with decorators. */
function makeHost(files: Record<string, string>, root = newFolder()) {
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  write(
    'package.json',
    JSON.stringify({
      name: 'host',
      dependencies: { prisma: '7', '@prisma/adapter-pg': '7' },
      devDependencies: { vitest: '4' },
    }),
  )
  write('tsconfig.json', JSON.stringify({ ...TSCONFIG, include: ['src'] }))
  write(
    'prisma/schema.prisma',
    'generator client {\n  provider = "prisma-client"\n  output = "../src/generated"\n  moduleFormat = "cjs"\n}\n\ndatasource db {\n  provider = "postgresql"\n}\n\nmodel Order {\n  id Int @id\n}\n',
  )
  write('vitest.config.mjs', 'export default {}\n')
  mkdirSync(join(root, '.git'))
  for (const [path, text] of Object.entries(files)) write(path, text)

  const listed = () =>
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
      .filter((path) => !/^(src\/generated|node_modules|\.async-gen)\//.test(path))
      .sort()
  return {
    root,
    write,
    files: listed,
    read: (path: string) => readFileSync(join(root, path), 'utf8'),
    remove: (path: string) => rmSync(join(root, path)),
    generateAll: async () => {
      const install = await generate({ cwd: root, generator: 'install', names: [] })
      await generate({ cwd: root, generator: 'attempt', names: [] })
      await generate({ cwd: root, generator: 'reports', names: ['MonthlySales'] })
      return install
    },
    compile: async () => {
      await prisma(root, ['generate'])
      await run(root, TSC, ['--singleThreaded'])
    },
  }
}
