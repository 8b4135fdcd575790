import { runMigrations } from 'graphile-worker'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { grow, operations } from '../support/grown.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

/** How many pages a statement may touch. The table of attempts has some 10,000. */
const MAX_PAGES = 2500

interface Sent {
  text: string
  values: unknown[]
  name?: string
}

/** A node of a plan, as EXPLAIN (FORMAT JSON) has it. */
interface Node {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Index Cond'?: string
  'Rows Removed by Filter'?: number
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  Plans?: Node[]
}

const run = operations(db)
let explainer: pg.Client

beforeAll(async () => {
  await runMigrations({ connectionString: url })
  await grow(url, 200_000)
  explainer = new pg.Client({ connectionString: url })
  await explainer.connect()
  await explainer.query('SET jit = off')
})

afterAll(() => explainer.end())

describe('beside 200,000 finished rows, each statement finds its rows by an index:', () => {
  for (const [name, operation] of Object.entries(run)) {
    it(name, async () => {
      const statements = await sentBy(operation)
      expect(statements.length).toBeGreaterThan(0)
      for (const statement of statements) {
        for (const plan of await plansOf(statement)) {
          const shown = `${statement.text}\n${JSON.stringify(plan, null, 1)}`
          expect(scansOf(plan), shown).toEqual([])
          expect(plan['Shared Hit Blocks'] + plan['Shared Read Blocks'], shown).toBeLessThan(MAX_PAGES)
        }
      }
    })
  }
})

/** The statements that the runtime sends while it does something, each text once. */
async function sentBy(operation: () => Promise<unknown>): Promise<Sent[]> {
  const sent = new Map<string, Sent>()
  const query = pg.Client.prototype.query
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const [config] = args as [Partial<Sent>]
    const reads = /attempts|toasts|reports/.test(config.text ?? '')
    if (reads) sent.set(config.text!, config as Sent)
    return (query as (...args: unknown[]) => unknown).apply(this, args)
  } as typeof query
  try {
    await operation()
  } finally {
    pg.Client.prototype.query = query
  }
  return [...sent.values()]
}

/** The plan for the values of a statement; for a prepared one also that for any values, to which PostgreSQL may change. */
async function plansOf({ text, values, name }: Sent): Promise<Node[]> {
  const prepared = values.map((value) => pg.escapeLiteral(asText(value)))
  const execute = `EXECUTE explained${values.length > 0 ? ` (${values.map((value, i) => (value === null ? 'NULL' : prepared[i])).join(', ')})` : ''}`
  const plans: Node[] = []
  for (const mode of name ? ['force_custom_plan', 'force_generic_plan'] : ['force_custom_plan']) {
    await explainer.query(`BEGIN; SET LOCAL plan_cache_mode = ${mode}; PREPARE explained AS ${text}`)
    try {
      const { rows } = await explainer.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${execute}`)
      plans.push(rows[0]['QUERY PLAN'][0].Plan)
    } finally {
      await explainer.query('ROLLBACK; DEALLOCATE explained')
    }
  }
  return plans
}

function asText(value: unknown): string {
  if (Array.isArray(value))
    return `{${value.map((item) => (item === null ? 'NULL' : JSON.stringify(`${item}`))).join(',')}}`
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** Scans of a whole table, and walks of an index that skip many rows. */
function scansOf(node: Node): string[] {
  const table = node['Relation Name'] ?? ''
  const isGrown = ['attempts', 'toasts', 'reports'].includes(table)
  const isScan = node['Node Type'] === 'Seq Scan' || (node['Rows Removed by Filter'] ?? 0) > 1000
  const found = isGrown && isScan ? [`${node['Node Type']} of ${table} ${node['Index Name'] ?? ''}`] : []
  return [...found, ...(node.Plans ?? []).flatMap(scansOf)]
}
