import { BaseAttempt, defineTargets } from '@async-gen/runtime'
import { asyncDashboard } from '@async-gen/runtime/dashboard'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { grownDatabase } from '../support/grown-database.js'
import { type Node, openExplainer, plansOf, scansOf, sentBy } from '../support/plans.js'
import { query } from '../support/postgres.js'
import { Client } from './client.js'

const url = await grownDatabase()
const { db } = await import('../.app/src/async/database.js')
const { MonthlySales } = await import('../.app/src/async/reports/monthly_sales.js')

/** How many pages a statement may touch. The table of attempts has some 10,000. */
const MAX_PAGES = 2500

/** How many pages the search for the names of calls may touch: the index of one method has some 100. */
const MAX_PAGES_OF_NAMES = 90

class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets(() => ({ OrderClient: { fulfill: async () => {} } })),
}) {}

/** A user agent without cached answers. */
const client = () => new Client(asyncDashboard(db, { attempts: [Attempt], reports: [MonthlySales] }))
const LIST = '/async/attempts/Attempt'

const pages: Record<string, string> = {
  'the overview': '/async',
  'the overview of a day': '/async?span=day',
  'all attempts': LIST,
  'all attempts, reversed': `${LIST}?order=reversed`,
  'all attempts after one': `${LIST}?after=100000`,
  'pending attempts': `${LIST}?status=pending`,
  'pending attempts of a call': `${LIST}?status=pending&call=OrderClient.fulfill`,
  'running attempts': `${LIST}?status=running`,
  'succeeded attempts': `${LIST}?status=succeeded`,
  'succeeded attempts after one': `${LIST}?status=succeeded&after=2026-01-01T00:00:00%2B00:00~7`,
  'failed attempts of a call': `${LIST}?status=failed&call=OrderClient.fulfill`,
  'succeeded attempts of a target without any': `${LIST}?status=succeeded&call=OrderClient`,
  'succeeded attempts of a target of many rows': `${LIST}?status=succeeded&call=Bulk1`,
  'succeeded attempts of a method of all targets': `${LIST}?status=succeeded&call=Bulk1.method6`,
  'succeeded attempts of a method after one': `${LIST}?status=succeeded&call=Bulk1.method1&after=150000`,
  'succeeded attempts with a text in their arguments': `${LIST}?status=succeeded&argument=nothing`,
  'attempts with an error': `${LIST}?error=econnrefused`,
  'attempts with another error': `${LIST}?error=nothing`,
  'attempts with a token': `${LIST}?token=order-failed7`,
  'attempts of a call': `${LIST}?call=OrderClient.fulfill`,
  'attempts of a batch': `${LIST}?batch=7`,
  'failed attempts of a batch': `${LIST}?batch=7&status=failed`,
  'attempts of a batch after one': `${LIST}?batch=7&after=300`,
  'attempts of a schedule': `${LIST}?schedule=nightly`,
  'succeeded attempts of a schedule after one': `${LIST}?schedule=nightly&status=succeeded&after=300`,
  batches: '/async/batches',
  'batches after one': '/async/batches/Attempt?after=100',
  'a batch': '/async/batches/Attempt/7',
  'attempts of a time': `${LIST}?status=succeeded&since=1h&before=1m`,
  'one attempt': `${LIST}/1`,
  'one attempt with many children': `${LIST}/2`,
  'the question before failed attempts are retried': `${LIST}/confirm?action=retry&all=1&status=failed`,
  'the question before toasts are refreshed': '/async/toasts/confirm?all=1&name=none',
  'the question before reports are built': '/async/reports/confirm?all=1',
  toasts: '/async/toasts',
  'toasts of a name': '/async/toasts?name=oat.breakfast',
  'toasts of another name': '/async/toasts?name=none',
  'toasts of a key': '/async/toasts?key=7',
  'queued toasts': '/async/toasts?state=queued',
  'empty toasts': '/async/toasts?state=empty',
  'refreshing toasts': '/async/toasts?state=refreshing',
  'one toast': '/async/toasts/7',
  reports: '/async/reports',
  'one report': '/async/reports/MonthlySales/7',
  workers: '/async/workers',
  pauses: '/async/pauses',
  schedules: '/async/schedules',
}

let explainer: pg.Client

beforeAll(async () => {
  await query(url, 'ALTER TABLE attempts DISABLE TRIGGER ALL')
  await query(
    url,
    `INSERT INTO async_batches (id, model, then_id) SELECT i, 'Attempt', 100000 + i FROM generate_series(1, 200) AS i`,
  )
  // They are the oldest, so that a walk from the newest is long.
  await query(url, `UPDATE attempts SET batch_id = 1 + id % 200, schedule = 'nightly' WHERE id <= 400`)
  await query(url, 'ALTER TABLE attempts ENABLE TRIGGER ALL')
  await query(url, 'VACUUM (ANALYZE) attempts')
  explainer = await openExplainer(url)
})

afterAll(() => explainer.end())

describe('beside 200,000 finished rows, each query of a page finds its rows by an index:', () => {
  for (const [name, path] of Object.entries(pages)) {
    it(name, async () => {
      const statements = await sentBy(async () => expect((await client().visit(path)).status).toBe(200))
      for (const statement of statements) {
        for (const plan of await plansOf(explainer, statement)) {
          const shown = `${statement.text}\n${JSON.stringify(plan, null, 1)}`
          expect(scansOf(plan), shown).toEqual([])
          expect(Math.max(...recursionsOf(plan)), shown).toBeLessThan(MAX_PAGES_OF_NAMES)
          expect(pagesOf(plan), shown).toBeLessThan(MAX_PAGES)
        }
      }
    })
  }
})

/** How many pages each recursive part of a plan has touched. */
function recursionsOf(plan: Node): number[] {
  const inner = (plan.Plans ?? []).flatMap(recursionsOf)
  return plan['Node Type'] === 'Recursive Union' ? [pagesOf(plan), ...inner] : [0, ...inner]
}

function pagesOf(plan: Node): number {
  return plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
}

it('estimates counts where it would have to read more than 10,000 rows, and says so', async () => {
  const { text } = await client().visit(LIST)
  expect(text).toMatch(/all about 2\d0K pending 1\d\d .* succeeded about 2\d0K failed 100 /)
})

it('says where a page has ended before it has looked at all rows', async () => {
  const { text } = await client().visit(`${LIST}?call=Nobody`)
  expect(text).toMatch(/No attempt matches so far\. .* This page has looked at 10,000 attempts\./)
})

it('asks the database once in a second for the overview, however many tabs are open', async () => {
  // On a busy machine, ten pages take longer.
  const now = vi.spyOn(performance, 'now').mockReturnValue(0)
  const send = vi.spyOn(db, 'query')
  try {
    const tabs = client()
    await tabs.visit('/async')
    send.mockClear()
    await Promise.all(Array.from({ length: 10 }, () => tabs.visit('/async')))
    expect(send).not.toHaveBeenCalled()
    now.mockReturnValue(1000)
    await tabs.visit('/async')
    expect(send).toHaveBeenCalled()
  } finally {
    now.mockRestore()
    send.mockRestore()
  }
})
