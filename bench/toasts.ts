// How fast cached values are read, beside a prepared SELECT, Prisma and other caches on PostgreSQL; and how often a value is
// computed when many processes want it at the same time. Everything runs on this machine, against one PostgreSQL.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, defineToast } from '@async-gen/runtime'
import { PrismaPg } from '@prisma/adapter-pg'
import { runMigrations } from 'graphile-worker'
import pg from 'pg'
import { APP } from '../test/support/host.js'
import { createDatabase, startPostgres } from '../test/support/postgres.js'
import { prisma as prismaCli } from '../test/support/prisma.js'
import { caches, FRESH_FOR } from './caches.js'
import { type Contender, rates, report, seconds } from './measure.js'

const PROCESSES = 8
const VALUE = { oat: 'meal', servings: 3, toppings: ['Nuts', 'Honey', 'Figs'] }

const postgres = await startPostgres()
const url = await createDatabase(postgres)
await prismaCli(APP, ['migrate', 'deploy'], { env: { DATABASE_URL: url } })
await runMigrations({ connectionString: url })

const { PrismaClient } = await import('../test/.app/src/generated/prisma/client.js')
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url }) })
const db = connect(prisma, { connectionString: url })
const pool = new pg.Pool({ connectionString: url }).on('error', () => {})

try {
  await reading()
  await stampede()
} finally {
  await db.close()
  await pool.end()
  await prisma.$disconnect()
  await postgres.stop()
}

async function reading() {
  const parent = { id: 1, updatedAt: new Date(0) }
  const toast = defineToast(db, 'oat.breakfast', { load: async () => parent, compute: () => VALUE })
  await toast.fresh(parent)
  const { id } = await prisma.toast.findFirstOrThrow()
  const peers = await Promise.all(
    Object.entries(caches).map(async ([name, make]) => ({
      name,
      cache: await make(url, async () => VALUE, 3_600_000),
    })),
  )
  const names = { name: toast.toastName, key: toast.keyOf(parent) }
  const base = 'a prepared SELECT of the row, through pg'
  const select = (columns: string) => {
    const text = `SELECT ${columns} FROM toasts WHERE name = $1 AND key = $2`
    return () => pool.query({ name: columns, text, values: [names.name, names.key] })
  }
  const readers: Record<string, () => Promise<unknown>> = {
    [base]: select('*'),
    'the same of its value alone': select('value'),
    'async-gen: a toast': () => toast(parent),
    'Prisma findUnique of the row': () => prisma.toast.findUnique({ where: { id } }),
    ...Object.fromEntries(
      peers.map(({ name, cache }) => [name === 'async-gen' ? 'async-gen: fetch' : name, () => cache.read('key', 1)]),
    ),
  }
  const each = (round: (read: () => Promise<unknown>, count: number) => Promise<void>): Contender[] =>
    Object.entries(readers).map(([name, read]) => ({ name, round: (count) => seconds(() => round(read, count)) }))

  const oneByOne = each(async (read, count) => {
    for (let i = 0; i < count; i++) await read()
  })
  report('Reading what is fresh, one at a time', await rates(oneByOne, { rounds: 7, count: 2000 }), base)

  const fifty = each(async (read, count) => {
    for (let i = 0; i < count; i += 50) await Promise.all(Array.from({ length: 50 }, read))
  })
  report('Reading what is fresh, 50 in one tick', await rates(fifty, { rounds: 7, count: 5000 }), base)
  for (const { cache } of peers) await cache.close()
}

async function stampede() {
  console.log(
    `\n${PROCESSES} processes with 200 readers each want one value that takes 300 ms: computations, and how long all took`,
  )
  await pool.query('CREATE TABLE computations (id serial)')
  for (const name of Object.keys(caches)) {
    const crowd = await Promise.all(Array.from({ length: PROCESSES }, () => join(name)))
    const cold = await letLoose(crowd, 1)
    await sleep(FRESH_FOR)
    const stale = await letLoose(crowd, 2)
    console.log(`  ${name.padEnd(32)} cold ${cold}   stale ${stale}`)
    await Promise.all(crowd.map(({ leave }) => leave()))
  }
}

async function join(name: string) {
  const file = new URL('crowd.ts', import.meta.url).pathname
  const child = spawn(process.execPath, ['--import', 'tsx', file, name, url], { stdio: ['pipe', 'pipe', 'ignore'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  await lines.next()
  return {
    read: async (version: number) => {
      child.stdin.write(`${version}\n`)
      return Number((await lines.next()).value)
    },
    leave: async () => {
      child.stdin.end()
      await once(child, 'exit')
    },
  }
}

type Member = Awaited<ReturnType<typeof join>>

async function letLoose(crowd: Member[], version: number): Promise<string> {
  await pool.query('TRUNCATE computations')
  const times = await Promise.all(crowd.map(({ read }) => read(version)))
  // What was refreshed in the background has to have begun.
  await sleep(1000)
  const { rows } = await pool.query('SELECT count(*)::int AS computations FROM computations')
  return `${String(rows[0].computations).padStart(2)} in ${Math.round(Math.max(...times))
    .toString()
    .padStart(5)} ms`
}
