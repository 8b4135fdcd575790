import { BaseAttempt, defineTargets, limit } from '@async-gen/runtime'
import { asyncDashboard } from '@async-gen/runtime/dashboard'
import axe from 'axe-core'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'
import { findChromium, openBrowser } from './browser.js'
import { hostileRows } from './hostile.js'
import { fill } from './scenery.js'
import { serve } from './serve.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { MonthlySales } = await import('../.app/src/async/reports/monthly_sales.js')

const call = async () => {}
const targets = {
  OrderClient: { fulfill: call },
  Newsletter: { deliverAll: call },
  Warehouse: { restock: call },
}
class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets(targets, { limits: [limit(targets.Warehouse, { concurrency: 2 })] }),
}) {}

/** A page of each kind. The ids are those of rows. */
const PATHS = {
  overview: '/async',
  attempts: '/async/attempts/Attempt?status=failed',
  'all attempts': '/async/attempts/Attempt?since=1d',
  attempt: '/async/attempts/Attempt/<failed>',
  'a running attempt': '/async/attempts/Attempt/<running>',
  question: '/async/attempts/Attempt/confirm?action=cancel&id=<running>',
  toasts: '/async/toasts',
  toast: '/async/toasts/<failing>',
  reports: '/async/reports',
  report: '/async/reports/MonthlySales/<report>',
  workers: '/async/workers',
  pauses: '/async/pauses',
  schedules: '/async/schedules',
  limits: '/async/limits',
  batches: '/async/batches',
  'a batch': '/async/batches/Attempt/<batch>',
  'a missing page': '/async/missing',
}

// Run them where there is a Chromium: `apt-get install chromium`, or its path in CHROMIUM.
describe.skipIf(findChromium() === undefined)('in Chromium,', () => {
  let browser: Browser
  let dashboard: { url: string; close: () => Promise<void> }
  let paths: Record<string, string>

  beforeAll(async () => {
    await fill(url, 300)
    browser = await openBrowser()
    dashboard = await serve(asyncDashboard(db, { attempts: [Attempt], reports: [MonthlySales] }))
    await Attempt.pause('Newsletter', { reason: 'a typo' })
    const scheduled = { target: targets.OrderClient, method: 'fulfill' as const }
    await Attempt.setSchedule('nightly', { ...scheduled, cron: '0 7 * * *', tz: 'Europe/Berlin' })
    const batch = await Attempt.batch([scheduled, scheduled], { then: scheduled })
    const ids = await query(
      url,
      `SELECT
         (SELECT min(id) FROM attempts WHERE status = 'failed') AS failed,
         (SELECT min(id) FROM attempts WHERE status = 'running') AS running,
         (SELECT min(id) FROM toasts WHERE failures > 0) AS failing,
         (SELECT min(id) FROM reports) AS report`,
    )
    const named = (path: string) => path.replace(/<(\w+)>/, (_, name) => ({ ...ids[0], batch: batch.id })[name])
    paths = Object.fromEntries(Object.entries(PATHS).map(([name, path]) => [name, named(path)]))
  })

  afterAll(async () => {
    await browser.close()
    await dashboard.close()
  })

  /** Opens a window of its own, and fails for what the policy of the content forbids or the script throws. */
  async function open(
    path: string,
    options: Parameters<Browser['newContext']>[0] = {},
  ): Promise<{ page: Page; context: BrowserContext; problems: string[] }> {
    const context = await browser.newContext(options)
    const page = await context.newPage()
    const problems: string[] = []
    page.on('pageerror', (error) => void problems.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().includes('404')) problems.push(message.text())
    })
    await page.goto(`${dashboard.url}${path}`)
    return { page, context, problems }
  }

  // A process of Chromium for all of them. Without motion, no colour is on its way to another one.
  const still = lazy(() => open('/async', { reducedMotion: 'reduce' }))

  it.each(Object.keys(PATHS))('%s: axe finds nothing in either theme, and the page fits every screen', async (name) => {
    const { page, problems } = await still()
    await page.goto(`${dashboard.url}${paths[name]}`)
    // Not a script of the page: its policy would forbid it.
    await page.evaluate(axe.source)
    // The themes differ in their colours alone.
    for (const [colorScheme, rules] of [
      ['light', '{}'],
      ['dark', '{ runOnly: ["color-contrast", "link-in-text-block"] }'],
    ] as const) {
      await page.emulateMedia({ colorScheme })
      const found = (await page.evaluate(`axe.run(${rules})`)) as {
        violations: { id: string; nodes: { html: string }[] }[]
      }
      const violations = found.violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])
      expect(violations, colorScheme).toEqual([])
    }
    for (const width of [390, 820, 1280]) {
      await page.setViewportSize({ width, height: 800 })
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
    }
    expect(problems.splice(0)).toEqual([])
  })

  it('chosen attempts are retried without script', async () => {
    const { page, context } = await open(paths.attempts!, { javaScriptEnabled: false })
    const boxes = page.locator('tbody input[type=checkbox]')
    await boxes.nth(0).check()
    await boxes.nth(1).check()
    await page.getByRole('button', { name: 'Retry' }).click()
    expect(await page.locator('h1').textContent()).toBe('Retry 2 attempts?')
    await page.getByRole('button', { name: 'Retry' }).click()
    expect(await page.getByRole('status').textContent()).toBe('2 attempts retried.')
    await context.close()
  })

  it('all that match are cancelled by keyboard alone', async () => {
    const { page, context } = await open('/async/attempts/Attempt?status=pending&call=Warehouse')
    await page.locator('.menu summary').focus()
    await page.keyboard.press('Enter')
    await page.getByRole('link', { name: 'Cancel all …' }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: /^Cancel 10 attempts\?$/ }).waitFor()
    await page.getByRole('button', { name: 'Cancel' }).focus()
    await page.keyboard.press('Enter')
    await page.getByText('10 attempts cancelled.').waitFor()
    await context.close()
  })

  it('the script chooses all rows of a page, and shows a message only once', async () => {
    const { page, context } = await open(paths.attempts!)
    await page.getByLabel('Choose all rows of this page').check()
    const boxes = await page.locator('tbody input[type=checkbox]').count()
    expect(await page.locator('tbody input:checked').count()).toBe(boxes)
    await page.goto(`${dashboard.url}/async/pauses?done=pause&changed=1`)
    expect(new URL(page.url()).search).toBe('')
    await context.close()
  })

  it('a page follows its attempt without a reload, until it is told not to', async () => {
    const { page, context, problems } = await open(paths['a running attempt']!)
    const [id] = /\d+$/.exec(paths['a running attempt']!)!
    await query(url, 'UPDATE attempts SET progress = 0.77 WHERE id = $1', [id])
    await page.getByText('77 %').waitFor({ timeout: 60_000 })
    await page.getByRole('button', { name: 'Pause updates' }).click()
    await query(url, 'UPDATE attempts SET progress = 0.88 WHERE id = $1', [id])
    await page.getByRole('button', { name: 'Resume updates' }).click()
    await page.getByText('88 %').waitFor({ timeout: 60_000 })
    expect(problems).toEqual([])
    await context.close()
  })

  it('a list shows what was recorded meanwhile, unless rows of it are chosen', async () => {
    const { page, context } = await open('/async/attempts/Attempt')
    const record = async () =>
      (
        await query(
          url,
          `INSERT INTO attempts (target, method, scheduled_at) VALUES ('Warehouse', 'restock', now() + interval '1 day') RETURNING id`,
        )
      )[0].id
    const rowOf = async (id: string) => page.getByLabel(`Choose attempt ${id}`, { exact: true })
    const first = await record()
    await (await rowOf(first)).waitFor({ timeout: 60_000 })
    await (await rowOf(first)).check()
    const [second] = [await record(), await page.evaluate('renew()')]
    expect(await (await rowOf(second)).count()).toBe(0)
    expect(await (await rowOf(first)).isChecked()).toBe(true)
    await (await rowOf(first)).uncheck()
    await page.evaluate('document.activeElement.blur()')
    await (await rowOf(second)).waitFor({ timeout: 60_000 })
    await context.close()
  })

  it('a page says so when its user is signed out', async () => {
    let isSignedIn = true
    const authorize = () => (isSignedIn ? true : new Response(null, { status: 302, headers: { location: '/login' } }))
    const guarded = await serve(asyncDashboard(db, { attempts: [Attempt], authorize }))
    const { page, context } = await open(paths.overview!)
    await page.goto(`${guarded.url}/async`)
    isSignedIn = false
    const alert = page.getByRole('alert')
    await alert.waitFor({ timeout: 30_000 })
    expect(await alert.textContent()).toContain('You are signed out')
    await context.close()
    await guarded.close()
  })

  it('of two users who act on the same attempt, the second learns that it was too late', async () => {
    const [{ id }] = await query(
      url,
      `INSERT INTO attempts (target, method, scheduled_at) VALUES ('Warehouse', 'restock', now() + interval '1 day') RETURNING id`,
    )
    const [first, second] = [await open(`/async/attempts/Attempt/${id}`), await open(`/async/attempts/Attempt/${id}`)]
    for (const { page } of [first, second]) await page.getByRole('link', { name: 'Cancel' }).click()
    await first.page.getByRole('button', { name: 'Cancel' }).click()
    await first.page.getByText('1 attempt cancelled.').waitFor()
    await second.page.getByRole('button', { name: 'Cancel' }).click()
    await second.page.getByText('Nothing was changed. 1 attempt stayed as before').waitFor()
    for (const { context } of [first, second]) await context.close()
  })

  it('a pause is made and ended through its form', async () => {
    const { page, context } = await open('/async/pauses')
    await page.getByLabel('Call').fill('OrderClient.fulfill')
    await page.getByLabel('Until').fill('2h')
    await page.getByLabel('Reason').fill('the client moves')
    await page.getByRole('button', { name: 'Pause' }).click()
    await page.getByRole('button', { name: 'Pause' }).click()
    await page.getByText('the client moves').waitFor()
    await page.getByRole('link', { name: 'Resume OrderClient.fulfill (Attempt)' }).click()
    await page.getByRole('button', { name: 'Resume' }).click()
    await page.getByText('1 pause ended.').waitFor()
    await context.close()
  })

  it('hostile rows run no script and do not widen a page', async () => {
    const ids = await hostileRows(url)
    const { page, context, problems } = await open('/async', { viewport: { width: 390, height: 800 } })
    for (const path of [
      '/async',
      '/async/attempts/Attempt',
      '/async/toasts',
      '/async/pauses',
      ...ids.slice(0, 8).map((id) => `/async/attempts/Attempt/${id}`),
    ]) {
      await page.goto(`${dashboard.url}${path}`)
      expect(await page.title(), path).not.toBe('hacked')
      expect(await page.evaluate('document.documentElement.scrollWidth'), path).toBeLessThanOrEqual(390)
      expect(problems, path).toEqual([])
    }
    await context.close()
  })
})

/** Calls a function once, when its result is first wanted. */
function lazy<Result>(make: () => Promise<Result>): () => Promise<Result> {
  let made: Promise<Result> | undefined
  return () => {
    made ??= make()
    return made
  }
}
