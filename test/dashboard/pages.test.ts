import { BaseAttempt, connect, defineTargets } from '@async-gen/runtime'
import { asyncDashboard } from '@async-gen/runtime/dashboard'
import { beforeAll, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'
import { Client, linksOf, listedIds, type VisitedPage } from './client.js'
import { fill } from './scenery.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')
const { MonthlySales } = await import('../.app/src/async/reports/monthly_sales.js')

const called = { fulfill: async () => {}, deliverAll: async () => {}, restock: async () => {} }
class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets(() => ({
    OrderClient: called,
    Newsletter: { deliverAll: async () => {} },
    Warehouse: { restock: async () => {} },
  })),
}) {}

const dashboard = asyncDashboard(db, {
  attempts: [Attempt],
  reports: [MonthlySales],
  traceUrl: (id) => `https://traces.example/${id}`,
})
const client = new Client(dashboard)
const LIST = '/async/attempts/Attempt'

beforeAll(() => fill(url, 400))

/** All pages of a list, from the first to the last. */
async function allPages(path: string): Promise<VisitedPage[]> {
  const pages = [await client.visit(path)]
  for (let next = nextOf(pages[0]!); next; next = nextOf(pages.at(-1)!)) pages.push(await client.visit(next))
  return pages
}

function nextOf(page: VisitedPage): string | undefined {
  return [...linksOf(page, 'Next page'), ...linksOf(page, 'Look further')][0]
}

const idsBy = async (order: string, where = 'true') =>
  (await query(url, `SELECT id::text AS text FROM attempts WHERE ${where} ORDER BY ${order}`)).map(({ text }) => text)

it('shows what is due, running and failed, and groups the failures', async () => {
  const { status, text } = await client.visit('/async')
  expect(status).toBe(200)
  const [{ failed }] = await query(url, `SELECT count(*)::int AS failed FROM attempts WHERE status = 'failed'`)
  expect(text).toMatch(/Running 4 now/)
  expect(text).toContain(`Failed ${failed} `)
  expect(text).toContain('No worker is alive. Due attempts wait until one starts.')
  expect(text).toMatch(/FetchError connect ECONNREFUSED #\.#\.#\.#:# \d/)
  expect((await client.visit('/async?span=day')).text).toContain('Last day')
})

it('says of an error of Prisma what is wrong, not where', async () => {
  const message =
    '\nInvalid `prisma.order.update()` invocation in\n/app/order.js:7:20\n\n→ 7 await prisma.order.update(\nNo record was found for an update.'
  await query(
    url,
    `INSERT INTO attempts (target, method, status, completed_at, errors)
     VALUES ('Warehouse', 'restock', 'failed', now(), jsonb_build_array(jsonb_build_object('name', 'PrismaClientKnownRequestError', 'code', 'P2025', 'message', $1::text)))`,
    [message],
  )
  const { text } = await new Client(asyncDashboard(db, { attempts: [Attempt] })).visit('/async')
  expect(text).toContain('PrismaClientKnownRequestError P2025 No record was found for an update. 1')
  await query(url, `DELETE FROM attempts WHERE errors -> 0 ->> 'code' = 'P2025'`)
})

it('does not say that nothing waits where more rows are paused than it counts', async () => {
  await query(url, `ALTER TABLE attempts DISABLE TRIGGER attempts_enqueue_inserted`)
  await query(
    url,
    `INSERT INTO attempts (target, method, scheduled_at) SELECT 'Mailer', 'send', '2020-01-01' FROM generate_series(1, 10001)`,
  )
  await query(url, `INSERT INTO async_pauses (model, target, method) VALUES ('Attempt', 'Mailer', '*')`)
  const { text } = await new Client(asyncDashboard(db, { attempts: [Attempt] })).visit('/async')
  expect(text).toContain('Due 0 10,000+ paused')
  await query(url, `DELETE FROM async_pauses WHERE target = 'Mailer'`)
  await query(url, `DELETE FROM attempts WHERE target = 'Mailer'`)
  await query(url, `ALTER TABLE attempts ENABLE TRIGGER attempts_enqueue_inserted`)
})

it('does not count calls as due that wait for their limit', async () => {
  await query(url, `ALTER TABLE attempts DISABLE TRIGGER attempts_enqueue_inserted`)
  await query(
    url,
    `INSERT INTO attempts (target, method, limit_key) SELECT 'Shopify', 'push', 'Shopify:acme' FROM generate_series(1, 7)`,
  )
  const { text } = await new Client(asyncDashboard(db, { attempts: [Attempt] })).visit('/async')
  expect(text).toMatch(/Due \d+ the oldest for [^,]*, 7 waiting for a limit/)
  await query(url, `DELETE FROM attempts WHERE target = 'Shopify'`)
  await query(url, `ALTER TABLE attempts ENABLE TRIGGER attempts_enqueue_inserted`)
})

describe('the list of attempts', () => {
  it('has each attempt once, by the number of its id, over all pages and in both directions', async () => {
    expect((await allPages(LIST)).flatMap(listedIds)).toEqual(await idsBy('id DESC'))
    expect((await allPages(`${LIST}?order=reversed`)).flatMap(listedIds)).toEqual(await idsBy('id'))
  })

  it('has finished attempts by the time of their end, also where several ended at the same time', async () => {
    await query(url, `UPDATE attempts SET completed_at = '2026-01-01' WHERE status = 'succeeded' AND id % 3 = 0`)
    const listed = (await allPages(`${LIST}?status=succeeded`)).flatMap(listedIds)
    expect(listed).toEqual(await idsBy('completed_at DESC, id DESC', `status = 'succeeded'`))
  })

  it('has pending attempts by the time when they are due', async () => {
    const listed = (await allPages(`${LIST}?status=pending`)).flatMap(listedIds)
    expect(listed).toEqual(await idsBy('scheduled_at, id', `status = 'pending'`))
  })

  const filters: [name: string, parameters: string, where: string, order: string][] = [
    ['a target', 'status=succeeded&call=Newsletter', `status = 'succeeded' AND target = 'Newsletter'`, 'id DESC'],
    [
      'a target and a method',
      'status=succeeded&call=OrderClient.fulfill',
      `status = 'succeeded' AND method = 'fulfill'`,
      'id DESC',
    ],
    ['a target of any status', 'call=Warehouse', `target = 'Warehouse'`, 'id DESC'],
    ['a token', 'token=order-5', `idempotence_token = 'order-5'`, 'id DESC'],
    ['an error, in any case', 'error=fetcherror', `errors -> -1 ->> 'name' = 'FetchError'`, 'id DESC'],
    ['a text in the arguments', 'argument=november', `args::text LIKE '%November%'`, 'id DESC'],
    [
      'a time',
      'status=failed&since=2h',
      `status = 'failed' AND completed_at > now() - interval '2 hours'`,
      'completed_at DESC, id DESC',
    ],
    ['running', 'status=running', `status = 'running'`, 'started_at, id'],
  ]
  it.each(filters)('narrows to %s', async (_name, parameters, where, order) => {
    const expected = await idsBy(order, where)
    expect(expected.length).toBeGreaterThan(0)
    expect((await allPages(`${LIST}?${parameters}`)).flatMap(listedIds)).toEqual(expected)
  })

  it('says that nothing matches, and what is wrong with a filter', async () => {
    expect((await client.visit(`${LIST}?call=Warehuse`)).text).toContain(
      'No attempt matches. targets.ts lists no target Warehuse. Did you mean Warehouse?',
    )
    for (const parameters of ['status=lost', 'since=yesterday', 'token=%00', 'after=1;2', 'field=password&value=1']) {
      expect((await client.visit(`${LIST}?${parameters}`)).status, parameters).toBe(400)
    }
  })

  it('links to pages that have the same filter', async () => {
    const page = await client.visit(`${LIST}?status=succeeded&call=OrderClient.fulfill`)
    expect(nextOf(page)).toContain('status=succeeded&call=OrderClient.fulfill')
    expect(linksOf(page, 'failed')[0]).toBe(`${LIST}?status=failed&call=OrderClient.fulfill`)
  })
})

describe('columns that the host has added', () => {
  it('can be filtered by, and are shown', async () => {
    await query(url, 'ALTER TABLE attempts ADD COLUMN account_id int')
    const fields = [
      { name: 'id', kind: 'scalar', type: 'BigInt' },
      { name: 'accountId', dbName: 'account_id', kind: 'scalar', type: 'Int' },
    ]
    const models = { Attempt: { fields } }
    const extended = connect(Object.create(prisma, { _runtimeDataModel: { value: { models } } }), {
      connectionString: url,
    })
    class Extended extends BaseAttempt(extended, {
      model: 'Attempt',
      table: 'attempts',
      targets: await Attempt.targets(),
    }) {}
    const other = new Client(asyncDashboard(extended, { attempts: [Extended] }))
    const [row] = await query(
      url,
      `INSERT INTO attempts (target, method, account_id) VALUES ('Warehouse', 'restock', 7) RETURNING id`,
    )
    const list = '/async/attempts/Extended'
    expect(listedIds(await other.visit(`${list}?field=accountId&value=7`))).toEqual([row.id])
    expect(listedIds(await other.visit(`${list}?field=accountId&value=`))).not.toContain(row.id)
    expect((await other.visit(`${list}/${row.id}`)).text).toContain('accountId 7')
    const wrong = await other.visit(`${list}?field=accountId&value=seven`)
    expect([wrong.status, wrong.text]).toEqual([
      400,
      expect.stringContaining('A value of the filter does not fit its column.'),
    ])
    await extended.close()
  })
})

describe('the page of an attempt', () => {
  it('shows arguments, errors with stack and causes, and a timeline', async () => {
    const [id] = await idsBy('id', `status = 'failed' AND errors -> -1 ->> 'name' = 'FetchError'`)
    const { text } = await client.visit(`${LIST}/${id}`)
    expect(text).toContain('FetchError connect ECONNREFUSED')
    expect(text).toContain('at OrderClient.fulfill (/app/src/order-client.ts:42:11)')
    expect(text).toContain('Cause: Error socket hang up')
    expect(text).toMatch(/Recorded.*Run 25 began.*Run 25 failed after.*Ended: failed/)
  })

  it('shows progress, parent and children, and links to the trace', async () => {
    const [id] = await idsBy('id', `status = 'running'`)
    const trace = '0af7651916cd43dd8448eb211c80319c'
    await query(url, `UPDATE attempts SET trace_context = $2 WHERE id = $1`, [
      id,
      { traceparent: `00-${trace}-b7ad6b7169203331-01` },
    ])
    const [child] = await query(
      url,
      `INSERT INTO attempts (target, method, parent_id) VALUES ('Warehouse', 'restock', $1) RETURNING id`,
      [id],
    )
    const page = await client.visit(`${LIST}/${id}`)
    expect(page.text).toContain('21 % page 21 of 100')
    expect(linksOf(page, 'Warehouse.restock')).toEqual([`${LIST}/${child.id}`])
    expect(linksOf(page, trace)).toEqual([`https://traces.example/${trace}`])
    expect(linksOf(await client.visit(`${LIST}/${child.id}`), `attempt ${id}`)).toEqual([`${LIST}/${id}`])
  })

  it('is not found for another id, and for what is no id', async () => {
    for (const id of ['999999', 'abc', '99999999999999999999'])
      expect((await client.visit(`${LIST}/${id}`)).status).toBe(404)
    expect((await client.visit('/async/attempts/Other')).status).toBe(404)
    expect((await client.visit('/elsewhere')).status).toBe(404)
  })
})

describe('the other pages', () => {
  it('list toasts with their state, age and cost, and narrow them', async () => {
    const { text } = await client.visit('/async/toasts')
    expect(text).toMatch(/oat\.breakfast 1\d/)
    const failing = await client.visit('/async/toasts?state=failing')
    const [{ count }] = await query(url, 'SELECT count(*)::int FROM toasts WHERE failures > 0')
    expect(failing.html.match(/status failing/g)).toHaveLength(count)
    expect((await client.visit('/async/toasts?key=7&name=shop.dashboard')).text).toContain('of 7')
    expect((await client.visit('/async/toasts?key=missing')).text).toContain('No toast matches.')
  })

  it('show one toast with its value and its last error', async () => {
    const [{ id }] = await query(url, 'SELECT id FROM toasts WHERE failures > 0 LIMIT 1')
    const { text } = await client.visit(`/async/toasts/${id}`)
    expect(text).toContain('"toppings": ["honey", "nuts"]')
    expect(text).toContain('3 failures since the last value')
  })

  it('list reports with the state of their values', async () => {
    const { text } = await client.visit('/async/reports')
    expect(text).toContain('not built')
    expect(text).toMatch(/MonthlySales #39 .*? built/)
    expect((await client.visit('/async/reports?type=Other')).status).toBe(404)
  })

  it('show one report with its arguments and its value, also before anybody has read it', async () => {
    const page = await client.visit('/async/reports')
    const [built] = await query(
      url,
      `SELECT report.id FROM reports AS report JOIN toasts ON toasts.key = report.id::text AND toasts.name = 'MonthlySales.build' LIMIT 1`,
    )
    expect(linksOf(page, 'MonthlySales')).toContain(`/async/reports/MonthlySales/${built.id}`)
    const shown = await client.visit(`/async/reports/MonthlySales/${built.id}`)
    expect(shown.text).toMatch(/Reports MonthlySales #\d+ .* Build Arguments .* Value /)
    expect(linksOf(shown, 'Build')).toEqual([`/async/reports/confirm?id=MonthlySales%2F${built.id}`])
    const unread = await MonthlySales.create({ month: 'a month that nobody reads' } as never)
    expect((await client.visit(`/async/reports/MonthlySales/${unread.id}`)).text).toMatch(
      /not built .* "a month that nobody reads".* Nobody has read this report yet\./,
    )
    for (const id of ['999999', 'abc'])
      expect((await client.visit(`/async/reports/MonthlySales/${id}`)).status).toBe(404)
    expect((await client.visit(`/async/reports/Other/${built.id}`)).status).toBe(404)
  })

  it('list the workers that are alive, with what they run', async () => {
    expect((await client.visit('/async/workers')).text).toContain('No worker is alive.')
    const lock = await holdLocks()
    try {
      const { text } = await new Client(asyncDashboard(db, { attempts: [Attempt] })).visit('/async/workers')
      expect(text).toMatch(
        /Worker 2 running worker-2\.shop\.example, process 4002.* Runs 1 call now Newsletter\.deliverAll/,
      )
    } finally {
      await lock.end()
    }
  })

  it('stay small where targets.ts lists thousands of names', async () => {
    const names = Array.from({ length: 10_000 }, (_, i) => [`Target${i}`, called])
    const targets = defineTargets(() => Object.fromEntries(names))
    class Many extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}
    const many = new Client(asyncDashboard(db, { attempts: [Many] }))
    for (const path of ['/async/attempts/Many', '/async/pauses'])
      expect((await many.visit(path)).html.length, path).toBeLessThan(150_000)
  })

  it('list the pauses, and mark the attempts that wait for them', async () => {
    await Attempt.pause('Newsletter', { reason: 'a typo in the subject' })
    const fresh = new Client(asyncDashboard(db, { attempts: [Attempt] }))
    expect((await fresh.visit('/async/pauses')).text).toContain('Newsletter (Attempt) a typo in the subject')
    expect((await fresh.visit(`${LIST}?status=pending&call=Newsletter`)).text).toContain('pending paused')
    await Attempt.resume('Newsletter')
  })
})

async function holdLocks() {
  const { default: pg } = await import('pg')
  const session = new pg.Client({ connectionString: url })
  await session.connect()
  await session.query('SELECT pg_advisory_lock($1, id) FROM async_workers', [0x4147656e])
  return session
}
