import { describe, expect, it } from 'vitest'
import { clientExports } from '../../generators/host/prisma-client.js'

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
    ['a comment', '// export const prisma = new PrismaClient()\nexport const x = 1', []],
    ['a string', 'export const help = `export const prisma = new PrismaClient()`', []],
    ['a type', 'export type Client = PrismaClient', []],
  ])('%s', (_what, code, names) => {
    expect(clientExports(IMPORT + code)).toEqual(names)
  })
})
