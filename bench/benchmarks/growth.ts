import { connect } from '@async-gen/runtime'
import { PrismaPg } from '@prisma/adapter-pg'
import { grow, operations } from '../../test/support/grown.js'
import { type Node, openExplainer, plansOf, sentBy } from '../../test/support/plans.js'
import { query } from '../../test/support/postgres.js'
import { openConnection } from '../connection.js'
import { type BenchContext, openContext } from '../context.js'
import type { Row, Table } from '../result.js'
import { addValues, time } from '../rounds.js'

/** The operations whose plans are shown. */
const PLANNED = [
  'record and perform',
  'read a toast',
  'read many toasts',
  'sweep',
  'statistics',
  'count pending',
] as const

type Operations = ReturnType<typeof operations>

interface Grown {
  size: number
  url: string
  run: Operations
  close(): Promise<void>
}

/**
 * How the time of each operation grows with the finished rows beside it. Databases with 10^4, 10^6 and 10^7 finished attempts, toasts and
 * reports have the same few other rows.
 */
export async function growth({ short, say }: BenchContext): Promise<Table[]> {
  const sizes = short ? [1000, 10_000] : [10_000, 1_000_000, 10_000_000]
  const rounds = short ? 2 : 101
  // A server of its own: it writes 10 GB, and nothing of it has to survive.
  const { context, close } = await openContext(short, {
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    max_wal_size: '8GB',
    maintenance_work_mem: '1GB',
    // It would run beside some rounds. The fill ends with a VACUUM.
    autovacuum: 'off',
  })
  const grown: Grown[] = []
  try {
    for (const size of sizes) {
      const took = await time(async () => grown.push(await grownTo(size, context)))
      say(`  ${size} rows of each table: filled in ${(took / 1000).toFixed(0)} s`)
    }
    // Otherwise what the fill has written would be flushed during the rounds.
    await query(grown[0]!.url, 'CHECKPOINT')
    const names = Object.keys(grown[0]!.run) as (keyof Operations)[]
    const rows: Row[] = names.map((name) => ({ name, values: {} }))
    // All operations in each round: the rounds of one short operation could all fall into a slow moment of the machine.
    for (let round = short ? 0 : -10; round < rounds; round++) {
      for (const row of rows) {
        for (const { size, run } of rotated(grown, round)) {
          const took = await time(run[row.name as keyof Operations])
          if (round >= 0) addValues(row, { [keyOf(size)]: took })
        }
      }
    }
    for (const row of rows) {
      // Each round does the same work, so whatever makes one slower is other work of the machine.
      const [first, last] = [sizes[0]!, sizes.at(-1)!].map((size) => Math.min(...row.values[keyOf(size)]!))
      addValues(row, { ratio: last! / first! })
    }
    return [
      {
        id: 'growth',
        title: 'Growth',
        method: `Databases with so many finished attempts, toasts and reports, and the same few other rows. ${rounds} rounds. The ratio compares the fastest rounds.`,
        columns: [
          ...sizes.map((size) => ({ key: keyOf(size), title: `ms, ${size.toLocaleString('en')} rows`, digits: 2 })),
          { key: 'ratio', title: 'last ÷ first', digits: 2 },
        ],
        rows,
      },
      {
        id: 'plans',
        title: 'Plans',
        method: 'The plans of the statements that these operations send, in the smallest and in the largest database.',
        columns: [],
        rows: await plansIn([grown[0]!, grown.at(-1)!]),
      },
    ]
  } finally {
    for (const each of grown) await each.close()
    await close()
  }
}

/** Each database comes first in some rounds: the first run of an operation finds less of its code and data in the caches of the processor. */
function rotated<Item>(items: Item[], round: number): Item[] {
  return items.map((_, i) => items.at((i + round) % items.length)!)
}

function keyOf(size: number): string {
  return `rows${size}`
}

async function grownTo(size: number, context: BenchContext): Promise<Grown> {
  const url = await context.database()
  await withoutIndexes(url, () => grow(url, size))
  const { PrismaClient } = await import('../../test/.app/src/generated/prisma/client.js')
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url }) })
  // With one connection, each statement has its final plan after the first rounds.
  const db = connect(prisma, { connectionString: url, poolSize: 1 })
  const close = async () => {
    await db.close()
    await prisma.$disconnect()
  }
  return { size, url, run: operations(db), close }
}

/** Fills tables without their indexes, which are created again afterwards: that takes a third of the time. */
async function withoutIndexes(url: string, fill: () => Promise<void>): Promise<void> {
  const client = await openConnection(url)
  try {
    const { rows } = await client.query<{ name: string; definition: string }>(`
      SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
      FROM pg_index
      WHERE indrelid = ANY ('{attempts,toasts,reports}'::regclass[])
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)`)
    for (const { name } of rows) await client.query(`DROP INDEX ${name}`)
    await fill()
    for (const { definition } of rows) await client.query(definition)
    await client.query('VACUUM (ANALYZE) attempts, toasts, reports')
  } finally {
    await client.end()
  }
}

async function plansIn(databases: Grown[]): Promise<Row[]> {
  const rows = new Map<string, Row>()
  for (const { size, url, run } of databases) {
    const client = await openExplainer(url)
    for (const operation of PLANNED) {
      for (const sent of await sentBy(run[operation])) {
        // The plan for any values, to which PostgreSQL changes.
        const plan = (await plansOf(client, sent)).at(-1)!
        const name = `${operation}: \`${sent.name ?? firstWords(sent.text)}\``
        const row = rows.get(name) ?? { name, values: {}, note: '' }
        row.note = [row.note, `${size.toLocaleString('en')} rows: ${describePlan(plan)}`].filter(Boolean).join('; ')
        rows.set(name, row)
      }
    }
    await client.end()
  }
  return [...rows.values()]
}

/** The scans of a plan, and how many blocks it reads: `Index Scan using attempts_pkey, 4 blocks`. */
function describePlan(plan: Node): string {
  const blocks = plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
  const scans = [...new Set(scansIn(plan))].join(', ')
  return `${scans || plan['Node Type']}, ${blocks} blocks`
}

function scansIn(node: Node): string[] {
  const below = (node.Plans ?? []).flatMap(scansIn)
  const isScan = ['attempts', 'toasts', 'reports'].includes(node['Relation Name'] ?? '')
  if (!isScan) return below
  const index = node['Index Name'] ? ` using ${node['Index Name']}` : ''
  return [`${node['Node Type']} of ${node['Relation Name']}${index}`, ...below]
}

function firstWords(text: string): string {
  return text.trim().split(/\s+/).slice(0, 4).join(' ')
}
