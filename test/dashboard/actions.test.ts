import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { BaseAttempt, defineTargets } from '@async-gen/runtime'
import { asyncDashboard, type DashboardAction } from '@async-gen/runtime/dashboard'
import { beforeEach, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'
import { Client, linksOf } from './client.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { MonthlySales } = await import('../.app/src/async/reports/monthly_sales.js')

class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets(() => ({ OrderClient: { fulfill: async () => {} }, Newsletter: { fulfill: async () => {} } })),
}) {}

const LIST = '/async/attempts/Attempt'
const seen: DashboardAction[] = []
const dashboard = asyncDashboard(db, {
  attempts: [Attempt],
  reports: [MonthlySales],
  authorize: () => ({ user: 'ada' }),
  onAction: async (action) => void seen.push(action),
})
const client = new Client(dashboard)

const ROWS = `
  INSERT INTO attempts (id, target, method, status, num_attempts, max_attempts, scheduled_at, completed_at, errors)
  SELECT
    row_number() OVER (), target, 'fulfill', status::attempt_status, 3, 3,
    now() + CASE WHEN status = 'pending' THEN interval '1 day' ELSE interval '0' END,
    CASE WHEN status NOT IN ('pending', 'running') THEN now() END,
    CASE WHEN status = 'failed' THEN '[{"name": "Error", "message": "boom"}]'::jsonb ELSE '[]' END
  FROM unnest('{pending,running,succeeded,failed,expired,cancelled}'::text[]) AS status, unnest('{OrderClient,Newsletter}'::text[]) AS target`

beforeEach(async () => {
  seen.length = 0
  await query(url, 'TRUNCATE attempts, toasts, reports, async_pauses')
  await query(url, ROWS)
})

const statusOf = async (id: string | number) =>
  (await query(url, 'SELECT status FROM attempts WHERE id = $1', [id]))[0]?.status
const idsOf = async (status: string) =>
  (await query(url, `SELECT id::text AS id FROM attempts WHERE status = $1 ORDER BY attempts.id`, [status])).map(
    ({ id }) => id,
  )
const act = async (address: string) => client.confirm(await client.visit(address))

describe('on one attempt', () => {
  const changes: [action: string, from: string, to: string][] = [
    ['retry', 'failed', 'pending'],
    ['retry', 'expired', 'pending'],
    ['cancel', 'pending', 'cancelled'],
    ['cancel', 'running', 'cancelled'],
    ['expire', 'pending', 'expired'],
    ['fail', 'pending', 'failed'],
  ]
  it.each(changes)('%s changes one that is %s, after a question', async (action, from, to) => {
    const [id] = await idsOf(from)
    const asked = await client.visit(`${LIST}/confirm?action=${action}&id=${id}`)
    expect(asked.text).toMatch(new RegExp(`attempt ${id}\\? It .* OrderClient\\.fulfill`))
    expect(await statusOf(id)).toBe(from)
    const done = await client.confirm(asked)
    expect(done.text).toMatch(/1 attempt (retried|cancelled|expired|marked as failed)\./)
    expect(await statusOf(id)).toBe(to)
  })

  it('run now makes a pending one due', async () => {
    const [id] = await idsOf('pending')
    expect((await act(`${LIST}/confirm?action=run-now&id=${id}`)).text).toContain('1 attempt made due now.')
    const [row] = await query(url, 'SELECT scheduled_at <= now() AS due, max_attempts FROM attempts WHERE id = $1', [
      id,
    ])
    expect(row).toEqual({ due: true, max_attempts: 3 })
  })

  it('changes nothing where somebody else was faster', async () => {
    const [id] = await idsOf('failed')
    const [mine, theirs] = [
      await client.visit(`${LIST}/confirm?action=retry&id=${id}`),
      await new Client(dashboard).visit(LIST),
    ]
    expect(theirs.status).toBe(200)
    await query(url, `UPDATE attempts SET status = 'succeeded' WHERE id = $1`, [id])
    expect((await client.confirm(mine)).text).toContain('Nothing was changed.')
    expect(await statusOf(id)).toBe('succeeded')
  })

  it('offers only what its status allows', async () => {
    const buttons = async (status: string) => {
      const page = await client.visit(`${LIST}/${(await idsOf(status))[0]}`)
      return ['Retry', 'Run now', 'Cancel', 'Expire', 'Fail'].filter((label) => linksOf(page, label).length > 0)
    }
    expect(await buttons('failed')).toEqual(['Retry'])
    expect(await buttons('pending')).toEqual(['Run now', 'Cancel', 'Expire', 'Fail'])
    expect(await buttons('running')).toEqual(['Cancel'])
    expect(await buttons('succeeded')).toEqual([])
  })
})

describe('on several attempts', () => {
  it('changes those that were chosen, and says which stay', async () => {
    const ids = [...(await idsOf('failed')), ...(await idsOf('succeeded'))]
    const asked = await client.visit(`${LIST}/confirm?action=retry&${ids.map((id) => `id=${id}`).join('&')}`)
    expect(asked.text).toContain('Retry 4 attempts?')
    expect((await client.confirm(asked)).text).toContain('2 attempts retried. 2 attempts stayed as before')
    expect(await idsOf('failed')).toEqual([])
  })

  it('counts all that match a filter, and changes these', async () => {
    const asked = await client.visit(`${LIST}/confirm?action=retry&all=1&status=failed&call=OrderClient&error=boom`)
    expect(asked.text).toContain('Retry 1 attempt?')
    expect(asked.text).toContain('that match when you confirm: failed, call "OrderClient", error "boom"')
    expect((await client.confirm(asked)).text).toContain('1 attempt retried.')
    expect(await idsOf('failed')).toHaveLength(1)
    expect(seen).toEqual([
      expect.objectContaining({
        action: 'retry',
        filter: { status: 'failed', target: 'OrderClient', error: 'boom' },
        changed: 1,
      }),
    ])
  })

  it('fails, cancels, expires and runs all pending ones', async () => {
    for (const [action, status] of [
      ['run-now', 'pending'],
      ['expire', 'expired'],
      ['cancel', 'cancelled'],
      ['fail', 'failed'],
    ] as const) {
      await query(url, `UPDATE attempts SET status = 'pending', completed_at = NULL WHERE target = 'Newsletter'`)
      await act(`${LIST}/confirm?action=${action}&all=1&status=pending&call=Newsletter`)
      const [{ count }] = await query(
        url,
        `SELECT count(*)::int FROM attempts WHERE target = 'Newsletter' AND status = $1`,
        [status],
      )
      expect(count, action).toBe(6)
    }
  })

  it('asks for a choice where nothing was chosen, and for a filter that can be changed', async () => {
    expect((await client.visit(`${LIST}/confirm?action=retry`)).text).toContain('No attempt was chosen.')
    expect((await client.visit(`${LIST}/confirm?action=retry&all=1&status=succeeded`)).status).toBe(400)
    expect((await client.visit(`${LIST}/confirm?action=destroy&id=1`)).status).toBe(400)
  })
})

describe('on pauses, toasts and reports', () => {
  it('pauses a method and resumes it', async () => {
    const asked = await client.visit(
      '/async/pauses/confirm?action=pause&model=Attempt&call=OrderClient.fulfill&until=1h&reason=moving',
    )
    expect(asked.text).toContain('Pause OrderClient.fulfill (Attempt)?')
    expect(asked.text).toContain('1 pending attempt will wait for 1h')
    await client.confirm(asked)
    expect(await Attempt.pauses()).toEqual([
      expect.objectContaining({ target: 'OrderClient', method: 'fulfill', reason: 'moving' }),
    ])
    const again = await client.visit('/async/pauses/confirm?action=pause&model=Attempt&call=OrderClient.fulfill')
    expect(again.text).toMatch(/has been paused since .*: moving\. The new pause replaces this one\./)
    const [resume] = linksOf(await client.visit('/async/pauses'), 'Resume')
    expect((await act(resume!)).text).toContain('1 pause ended.')
    expect(await Attempt.pauses()).toEqual([])
  })

  it('pauses all calls where no call is named, and refuses names that are not listed', async () => {
    await act('/async/pauses/confirm?action=pause&model=Attempt&call=')
    expect(await Attempt.pauses()).toEqual([expect.objectContaining({ target: null, method: null })])
    const unknown = await client.visit('/async/pauses/confirm?action=pause&model=Attempt&call=Nobody')
    expect(unknown.status).toBe(400)
  })

  it('requests a refresh of a toast, and keeps its value', async () => {
    await query(
      url,
      `INSERT INTO toasts (id, name, key, value, cached_at, value_epoch) VALUES (7, 'oat.breakfast', '7', '1', now(), 0)`,
    )
    expect((await act('/async/toasts/confirm?id=7')).text).toContain('1 refresh requested.')
    const [row] = await query(url, 'SELECT value, epoch, refresh_at <= now() AS due FROM toasts')
    expect(row).toEqual({ value: 1, epoch: 1, due: true })
    const jobs = await query(url, `SELECT key FROM graphile_worker.jobs WHERE key = 'toast:7'`)
    expect(jobs).toHaveLength(1)
  })

  it('requests the build of a report that nobody has read', async () => {
    const report = await MonthlySales.create({} as never)
    expect((await act(`/async/reports/confirm?id=MonthlySales/${report.id}`)).text).toContain('1 build requested.')
    expect(await report.isStale()).toBe(true)
    const [toast] = await query(url, 'SELECT name, key, refresh_at <= now() AS due FROM toasts')
    expect(toast).toEqual({ name: 'MonthlySales.build', key: String(report.id), due: true })
    expect((await client.visit('/async/reports')).text).toContain('not built')
    expect((await act('/async/reports/confirm?id=MonthlySales/999')).text).toContain('Nothing was changed.')
    expect((await client.visit('/async/reports/confirm?id=Other/1')).status).toBe(404)
  })
})

describe('on several toasts and reports', () => {
  const REFRESHED = 'SELECT key FROM toasts WHERE refresh_at IS NOT NULL ORDER BY key'

  beforeEach(() =>
    query(
      url,
      `INSERT INTO toasts (id, name, key, value, cached_at, value_epoch, failures)
      SELECT 100 + i, CASE WHEN i < 4 THEN 'oat.breakfast@2' ELSE 'shop.dashboard' END, i::text, '1', now(), 0, i % 2 FROM generate_series(1, 6) AS i`,
    ),
  )

  it('refreshes the chosen toasts', async () => {
    const asked = await client.visit('/async/toasts/confirm?id=101&id=105')
    expect(asked.text).toContain('Refresh 2 toasts?')
    expect((await client.confirm(asked)).text).toContain('2 refreshes requested.')
    expect((await query(url, REFRESHED)).map(({ key }) => key)).toEqual(['1', '5'])
    expect(seen).toEqual([expect.objectContaining({ action: 'refresh', ids: ['101', '105'], changed: 2 })])
  })

  it('counts the toasts that match, of all versions of their code, and refreshes these', async () => {
    const asked = await client.visit('/async/toasts/confirm?all=1&name=oat.breakfast&state=failing')
    expect(asked.text).toContain('Refresh 2 toasts?')
    expect((await client.confirm(asked)).text).toContain('2 refreshes requested.')
    expect((await query(url, REFRESHED)).map(({ key }) => key)).toEqual(['1', '3'])
  })

  it('builds all reports of a class', async () => {
    for (const month of ['January', 'February']) await MonthlySales.create({ month } as never)
    const asked = await client.visit('/async/reports/confirm?all=1&type=MonthlySales')
    expect(asked.text).toContain('Build 2 reports?')
    expect((await client.confirm(asked)).text).toContain('2 builds requested.')
    expect(await query(url, `${REFRESHED.replace('WHERE', `WHERE name = 'MonthlySales.build' AND`)}`)).toHaveLength(2)
  })
})

describe('each action', () => {
  it('reaches onAction and the diagnostics channel, with who and when', async () => {
    const published: unknown[] = []
    const listener = (message: unknown) => void published.push(message)
    subscribe('async-gen:dashboard', listener)
    const [id] = await idsOf('failed')
    await act(`${LIST}/confirm?action=retry&id=${id}`)
    unsubscribe('async-gen:dashboard', listener)
    expect(seen).toEqual([
      {
        action: 'retry',
        user: 'ada',
        at: expect.any(Date),
        subject: `Attempt ${id}`,
        model: 'Attempt',
        ids: [id],
        changed: 1,
      },
    ])
    expect(published).toEqual(seen)
  })

  it('says so where the audit hook throws', async () => {
    const failing = asyncDashboard(db, {
      attempts: [Attempt],
      onAction: () => Promise.reject(new Error('the audit log is full')),
    })
    const other = new Client(failing)
    const [id] = await idsOf('failed')
    const done = await other.confirm(await other.visit(`${LIST}/confirm?action=retry&id=${id}`))
    expect(done.text).toContain('The action was not recorded')
    expect(await statusOf(id)).toBe('pending')
  })

  it('does not wait for an audit hook that never ends', async () => {
    const client = new Client(asyncDashboard(db, { attempts: [Attempt], onAction: () => new Promise(() => {}) }))
    const [id] = await idsOf('failed')
    const asked = await client.visit(`${LIST}/confirm?action=retry&id=${id}`)
    expect((await client.confirm(asked)).text).toContain('The action was not recorded')
    expect(await statusOf(id!)).toBe('pending')
  }, 30_000)

  it('reaches onAction also where it fails', async () => {
    const failed = await act('/async/pauses/confirm?action=pause&model=Attempt&call=OrderClient&until=2020-01-01')
    expect(failed.text).toContain('It must be a time in the future')
    const error = expect.stringContaining('It must be a time in the future')
    expect(seen).toEqual([expect.objectContaining({ action: 'pause', paused: 'OrderClient', changed: 0, error })])
  })

  it('reaches onAction with what was changed before an error', async () => {
    let retries = 0
    const targets = defineTargets(() => ({ OrderClient: { fulfill: async () => {} } }))
    class Fragile extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {
      override async retry() {
        if (++retries > 1) throw new Error('the network is down')
        await super.retry()
      }
    }
    const fragile = new Client(
      asyncDashboard(db, { attempts: [Fragile], onAction: (action) => void seen.push(action) }),
    )
    const [first, second] = await idsOf('failed')
    const asked = await fragile.visit(`/async/attempts/Fragile/confirm?action=retry&id=${first}&id=${second}`)
    expect((await fragile.confirm(asked)).status).toBe(500)
    expect([await statusOf(first!), await statusOf(second!)]).toEqual(['pending', 'failed'])
    expect(seen).toEqual([expect.objectContaining({ ids: [first, second], changed: 1, error: 'the network is down' })])
  })
})
