import { describe, expect, it } from 'vitest'
import { HostClients, isClient } from '../../generators/host/prisma-client.js'
import { sampleHost } from './sample-host.js'

const IMPORT = "import { PrismaClient } from './generated/client.js'\n"

describe('the exports of a module that are a PrismaClient', () => {
  it.each([
    ['a named constant', 'export const prisma = new PrismaClient({ adapter })', ['prisma']],
    ['another name', 'export const db = new PrismaClient({ adapter })', ['db']],
    ['a default expression', 'export default new PrismaClient({ adapter })', ['default']],
    ['a default identifier', 'const prisma = new PrismaClient()\nexport default prisma', ['default']],
    ['an export list', 'const client = new PrismaClient()\nexport { client }', ['client']],
    ['an export list with another name', 'const client = new PrismaClient()\nexport { client as prisma }', ['prisma']],
    ['an extended client', 'const base = new PrismaClient()\nexport const db = base.$extends({ name: "x" })', ['db']],
    [
      'an extended client over lines',
      'const base = new PrismaClient()\nexport const db = base\n  .$extends({})',
      ['db'],
    ],
    ['a subclass', 'class Client extends PrismaClient {}\nexport const db = new Client()', ['db']],
    ['a factory', 'const make = () => new PrismaClient()\nexport const prisma = make()', ['prisma']],
    ['a function', 'function make() {\n  return new PrismaClient()\n}\nexport const prisma = make()', ['prisma']],
    [
      "the singleton of Prisma's documentation",
      'const prismaClientSingleton = () => {\n  return new PrismaClient()\n}\n\ndeclare const globalThis: {\n  prismaGlobal: ReturnType<typeof prismaClientSingleton>;\n} & typeof global;\n\nconst prisma = globalThis.prismaGlobal ?? prismaClientSingleton()\n\nexport default prisma\n\nif (process.env.NODE_ENV !== "production") globalThis.prismaGlobal = prisma',
      ['default'],
    ],
    [
      'the singleton on the global object',
      'const globalForPrisma = globalThis as unknown as { prisma?: PrismaClient }\nexport const prisma = globalForPrisma.prisma || new PrismaClient()',
      ['prisma'],
    ],
    ['a lazy proxy', 'export const prisma: PrismaClient = new Proxy({} as never, handler)', ['prisma']],
    ['a lazy proxy that is cast', 'export const prisma = new Proxy({} as PrismaClient, { get })', ['prisma']],
    ['one client under two names', 'export const prisma = new PrismaClient()\nexport default prisma', ['prisma']],
    [
      'one client under another name and its usual one',
      'export const replicas = remember(() => new PrismaClient())\nexport { replicas as prisma }',
      ['prisma'],
    ],
    [
      'a class that keeps the one',
      'class Clients {\n  static one: PrismaClient\n  static get() {\n    return (Clients.one ??= make())\n  }\n}\nconst make = () => new PrismaClient()\nexport const prisma = globalThis.prisma ?? Clients.get()',
      ['prisma'],
    ],
    ['an object that has one', 'const client = new PrismaClient()\nexport default {\n  client,\n  rawQuery,\n}', []],
    ['two clients', 'export const a = new PrismaClient()\nexport const b = new PrismaClient()', ['a', 'b']],
    [
      'a function that stands below',
      'export const prisma = make()\nfunction make() {\n  return new PrismaClient()\n}',
      ['prisma'],
    ],
    [
      'a factory of several lines',
      'const make = () => {\n  const adapter = new PrismaPg()\n  return new PrismaClient({ adapter })\n}\nexport const prisma = make()',
      ['prisma'],
    ],
    ['a factory as default', 'const make = () => new PrismaClient()\nexport default make', []],
    ['a factory alone', 'export const make = () => new PrismaClient()', []],
    ['a class alone', 'export class Client extends PrismaClient {}', []],
    ['a client that stays inside', 'const prisma = new PrismaClient()', []],
    ['a query', 'const prisma = new PrismaClient()\nexport const users = prisma.user.findMany()', []],
    [
      'a quote in a regular expression before it',
      'const quotes = /[\'"`]/\nexport const prisma = new PrismaClient()',
      ['prisma'],
    ],
    ['one client under a second name', 'export const p = new PrismaClient()\nexport const prisma = p', ['prisma']],
    [
      'the global object, assigned where it is not set',
      'if (!global.prisma) global.prisma = new PrismaClient()\nexport default global.prisma',
      ['default'],
    ],
    [
      'the global object, under a name and a cast',
      'const kept = global as unknown as { db?: PrismaClient }\nkept.db ??= new PrismaClient()\nexport const db = kept.db',
      ['db'],
    ],
    [
      'a variable that is assigned later',
      'let prisma\nif (production) {\n  prisma = new PrismaClient()\n} else {\n  prisma = global.prisma ??= new PrismaClient()\n}\nexport { prisma }',
      ['prisma'],
    ],
    [
      'another name for the class',
      'import { PrismaClient as Client } from "x"\nexport const db = new Client()',
      ['db'],
    ],
    ['a cast that satisfies', 'export const db = (new PrismaClient() satisfies PrismaClient)!', ['db']],
    ['a choice of two', 'const a = new PrismaClient()\nexport const db = flag ? a : a.$extends({})', ['db']],
    ['CommonJS', 'module.exports = { prisma: new PrismaClient() }', ['prisma']],
    ['CommonJS by name', 'const db = new PrismaClient()\nexports.db = db', ['db']],
    ['export =', 'const db = new PrismaClient()\nexport = db', ['default']],
    [
      'what is made with a client',
      'const db = new PrismaClient()\nexport const auth = betterAuth({ database: adapter(db) })',
      [],
    ],
    ['a comment', '// export const prisma = new PrismaClient()\nexport const x = 1', []],
    ['a string', 'export const help = `export const prisma = new PrismaClient()`', []],
    ['a type', 'export type Client = PrismaClient', []],
  ])('%s', async (_what, code, names) => {
    expect(await clientsOf({ 'src/db.ts': IMPORT + code })).toEqual(names.map((name) => `src/db.ts#${name}`))
  })

  it.each([
    ['.tsx', 'export const prisma = new PrismaClient()\nexport const Page = () => <p>{"it\'s"}</p>'],
    ['.mts', 'export const prisma = new PrismaClient() as PrismaClient'],
    ['.cts', 'const prisma = new PrismaClient()\nexport { prisma }'],
    ['.js', 'export const prisma = new PrismaClient()\nexport const Page = () => <p />'],
    ['.cjs', "const { PrismaClient } = require('@prisma/client')\nmodule.exports.prisma = new PrismaClient()"],
    ['.mjs', "import pkg from '@prisma/client'\nexport const prisma = new pkg.PrismaClient()"],
  ])('in a %s file', async (ending, code) => {
    expect(await clientsOf({ 'src/db.ts': null, [`src/db${ending}`]: code })).toEqual([`src/db${ending}#prisma`])
  })

  it('made by a function of another module', async () => {
    const clients = await clientsOf({
      'src/db.ts': "import { makeClient } from './make.js'\n\nexport const db = makeClient()\n",
      'src/make.ts': `${IMPORT}export function makeClient() {\n  return new PrismaClient()\n}\n`,
    })
    expect(clients).toEqual(['src/db.ts#db'])
  })

  it('not made by a class that another module uses for itself, which stays the one to choose', async () => {
    const clients = await HostClients.of(
      hostWith({
        'src/db.ts': `${IMPORT}export class Db extends PrismaClient {}\n`,
        'src/count.ts':
          "import { Db } from './db.js'\nfunction own(): Db {\n  return new Db()\n}\nexport const count = async () => own().order.count()\n",
      }),
    )
    expect(clients.search().candidates).toEqual([{ path: 'src/db.ts', name: 'Db', access: 'new $()' }])
  })

  it('beside those of tests, scripts and seeds, which are not the application', async () => {
    const client = `${IMPORT}export const prisma = new PrismaClient()\n`
    expect(await clientsOf({ 'test/db.ts': client, 'scripts/db.ts': client, 'prisma/seed.ts': client })).toEqual([
      'src/db.ts#prisma',
    ])
  })
})

describe('what a client can be had from, where none is exported', () => {
  it.each([
    ['a class', 'export class Db extends PrismaClient {}', 'new $()'],
    [
      'a class with decorators',
      '@Injectable()\nexport class Db extends PrismaClient implements OnModuleInit {}',
      'new $()',
    ],
    [
      'a class that wants arguments',
      'export class Db extends PrismaClient {\n  constructor(private readonly config: Config) { super() }\n}',
      null,
    ],
    [
      'a class with options',
      'export class Db extends PrismaClient {\n  constructor(config?: Config, log = true) { super() }\n}',
      'new $()',
    ],
    ['a function', 'export const Db = () => new PrismaClient()', '$()'],
    [
      'a function that keeps it',
      'let client: PrismaClient | undefined\nexport function Db() {\n  client ??= new PrismaClient()\n  return client\n}',
      '$()',
    ],
    ['an object', 'export const Db = { client: new PrismaClient() }', '$.client'],
    ['a class that has one', 'export class Db {\n  readonly client = new PrismaClient()\n}', 'new $().client'],
    ['a class that has one for all', 'export class Db {\n  static client = new PrismaClient()\n}', '$.client'],
  ])('%s', async (_what, code, access) => {
    const clients = await HostClients.of(hostWith({ 'src/db.ts': `${IMPORT}${code}\n` }))
    expect(clients.exportsOf('src/db.ts')).toEqual([{ path: 'src/db.ts', name: 'Db', access }])
  })
})

describe('the variables of the URL', () => {
  it.each([
    [
      'a connection string',
      'new PrismaPg({ connectionString: process.env.POSTGRES_PRISMA_URL })',
      ['POSTGRES_PRISMA_URL'],
    ],
    ['a string alone', 'new PrismaPg(process.env.DB_URL!)', ['DB_URL']],
    ['a checked environment', 'new PrismaPg({ connectionString: env.DB_URL })', ['DB_URL']],
    [
      'one that stands in for another',
      'new PrismaPg({ connectionString: process.env.A_URL ?? process.env["B_URL"] })',
      ['A_URL', 'B_URL'],
    ],
    [
      'a constant',
      'new PrismaPg({ connectionString })\nconst connectionString = String(process.env.DB_URL)',
      ['DB_URL'],
    ],
    ['a service of settings', "new PrismaPg(config.getOrThrow<string>('DB_URL'))", ['DB_URL']],
    ['a pool', 'new PrismaPg(new Pool({ connectionString: process.env.DB_URL }))', ['DB_URL']],
    ['none', 'new PrismaPg({ host, port })', []],
    [
      'parts that make the URL',
      'new PrismaPg({ connectionString: "postgres://" + process.env.DB_URL_USER + "@" + process.env.DB_URL_HOST })',
      [],
    ],
    ['a function that requires it', "new PrismaPg({ connectionString: requireEnv('SHOP_URL') })", ['SHOP_URL']],
    [
      'that of another service',
      'connect({ redis: process.env.REDIS_URL, accelerateUrl: process.env.DATABASE_URL })',
      [],
    ],
  ])('%s', async (_what, code, variables) => {
    const clients = await HostClients.of(hostWith({ 'src/db.ts': `const adapter = ${code}\n` }))
    expect(clients.urlVariablesOf('src/db.ts')).toEqual(variables)
  })
})

function hostWith(files: Record<string, string | null>) {
  return { root: sampleHost(files).root, modules: { resolvePath: () => [] } }
}

async function clientsOf(files: Record<string, string | null>): Promise<string[]> {
  const { candidates } = (await HostClients.of(hostWith(files))).search()
  return candidates.filter(isClient).map(({ path, name }) => `${path}#${name}`)
}
