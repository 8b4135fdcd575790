import { connect } from '@async-gen/runtime'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { operations } from '../support/grown.js'
import { grownDatabase } from '../support/grown-database.js'
import { openExplainer, plansOf, scansOf, sentBy } from '../support/plans.js'

const url = await grownDatabase()
const { db } = await import('../.app/src/async/database.js')

/** How many pages a statement may touch. The table of attempts has some 10,000, and its smallest index of finished rows some 1,400. */
const MAX_PAGES = 1000

const run = operations(db)
let explainer: pg.Client

beforeAll(async () => {
  explainer = await openExplainer(url)
})

afterAll(() => explainer.end())

describe('beside 200,000 finished rows, each statement finds its rows by an index:', () => {
  for (const [name, operation] of Object.entries(run)) {
    it(name, async () => {
      const statements = await sentBy(operation)
      expect(statements.length).toBeGreaterThan(0)
      for (const statement of statements) {
        for (const plan of await plansOf(explainer, statement)) {
          const shown = `${statement.text}\n${JSON.stringify(plan, null, 1)}`
          expect(scansOf(plan), shown).toEqual([])
          expect(plan['Shared Hit Blocks'] + plan['Shared Read Blocks'], shown).toBeLessThan(MAX_PAGES)
        }
      }
    })
  }
})

describe('beside 200,000 finished rows, each prepared statement soon keeps one plan for all values:', () => {
  for (const name of Object.keys(run) as (keyof typeof run)[]) {
    it(name, async () => {
      const session = connect(db.prisma, { connectionString: url, poolSize: 1 })
      const operation = operations(session)[name]
      const statements = await sentBy(operation)
      for (let i = 0; i < 10; i++) await operation()
      const { rows } = await session.pool.query<{ name: string; plans: number }>(
        'SELECT name, custom_plans::int AS plans FROM pg_prepared_statements',
      )
      await session.close()
      const plans = new Map(rows.map((row) => [row.name, row.plans]))
      for (const statement of statements) {
        // PostgreSQL plans the first five executions for their values.
        if (statement.name) expect(plans.get(statement.name), statement.text).toBeLessThanOrEqual(5)
      }
    })
  }
})

it('counts 200,000 rows before the workers of a parallel plan would have started', async () => {
  const { rows } = await db.pool.query('EXPLAIN (FORMAT JSON) SELECT count(*) FROM attempts')
  expect(rows[0]['QUERY PLAN'][0].Plan).toMatchObject({ 'Node Type': 'Aggregate', 'Partial Mode': 'Simple' })
})
