import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { assembleHost, asyncGen, installHost } from '../support/host.js'
import { prisma } from '../support/prisma.js'
import { run } from '../support/run.js'

/** Prints whether a stored decimal is restored as the client's own class. The engine cannot be loaded, so no statement is sent. */
const PROGRAM = `process.on('unhandledRejection', () => {})
const { prisma, Prisma } = await import('./db.js')
const { db } = await import('./async/database.js')
const { deserialize, serialize } = await import('../node_modules/@async-gen/runtime/dist/core/serialize.js')
await new Promise((resolve) => setTimeout(resolve, 1000))
const restored = deserialize(JSON.parse(serialize(new Prisma.Decimal('1.50'))))
console.log(JSON.stringify([db.prisma === prisma, restored instanceof Prisma.Decimal, String(restored)]))
process.exit()
`

// The engine itself would be downloaded.
describe.each(['prisma-6', 'prisma-6-js'] as const)('%s with a native query engine', (shape) => {
  const dir = mkdtempSync(join(tmpdir(), `async-gen-${shape}-engine-`))
  const engine = join(dir, 'libquery_engine.so.node')
  const env = { DATABASE_URL: 'postgres://localhost/shop', PRISMA_QUERY_ENGINE_LIBRARY: engine }

  beforeAll(async () => {
    assembleHost(shape, dir)
    edit('prisma/schema.prisma', /\n *engineType = "client"/, '')
    edit('src/db.ts', /import { PrismaPg.*\n/, '')
    edit('src/db.ts', /new PrismaClient\(.*\)/, 'new PrismaClient()')
    edit('src/db.ts', /import { PrismaClient }/, 'import { Prisma, PrismaClient }')
    writeFileSync(join(dir, 'src/db.ts'), `${readFileSync(join(dir, 'src/db.ts'), 'utf8')}\nexport { Prisma }\n`)
    writeFileSync(engine, '')
    await installHost(dir)
    for (const args of [['install'], ['attempt'], ['reports', 'MonthlySales']]) await asyncGen(dir, args)
    await prisma(dir, ['generate'], { env })
  }, 600_000)

  afterAll(() => rmSync(dir, { recursive: true, force: true }))

  it('gets code that compiles under --strict', async () => {
    await run(dir, join(dir, 'node_modules/.bin/tsc'), ['--noEmit', '--strict'])
  })

  it('gets decimals of its own class back', async () => {
    writeFileSync(join(dir, 'src/decimals.ts'), PROGRAM)
    const { stdout } = await run(dir, process.execPath, ['--import', 'tsx', 'src/decimals.ts'], { env })
    expect(JSON.parse(stdout.trim().split('\n').at(-1)!)).toEqual([true, true, '1.5'])
  })

  function edit(file: string, from: RegExp, to: string) {
    const text = readFileSync(join(dir, file), 'utf8')
    expect(text).toMatch(from)
    writeFileSync(join(dir, file), text.replace(from, to))
  }
})
