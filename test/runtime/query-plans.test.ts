import { runMigrations } from 'graphile-worker'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { grow, operations } from '../support/grown.js'
import { openExplainer, plansOf, scansOf, sentBy } from '../support/plans.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

/** How many pages a statement may touch. The table of attempts has some 10,000. PostgreSQL 14 reads some of them in several processes. */
const MAX_PAGES = 4000

const run = operations(db)
let explainer: pg.Client

beforeAll(async () => {
  await runMigrations({ connectionString: url })
  await grow(url, 200_000)
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

it('plans the statements of a single call once, not for each call', async () => {
  for (let i = 0; i < 10; i++) await run['record and perform']()
  const { rows } = await db.pool.query(
    `SELECT name, custom_plans::int AS custom, generic_plans::int AS generic
     FROM pg_prepared_statements WHERE name IN ('attempts:claim', 'attempts:succeed-together') ORDER BY name`,
  )
  expect(rows.map(({ name }) => name)).toEqual(['attempts:claim', 'attempts:succeed-together'])
  for (const { custom, generic } of rows) {
    expect(custom).toBeLessThanOrEqual(5)
    expect(generic).toBeGreaterThan(0)
  }
})
