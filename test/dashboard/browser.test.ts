import { BaseAttempt, defineTargets } from '@async-gen/runtime'
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
class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets(() => ({
    OrderClient: { fulfill: call },
    Newsletter: { deliverAll: call },
    Warehouse: { restock: call },
  })),
}) {}

// Run them where there is a Chromium: `apt-get install chromium`, or its path in CHROMIUM.
describe.skipIf(findChromium() === undefined)('in Chromium,', () => {
  let browser: Browser
  let dashboard: { url: string; close: () => Promise<void> }
  let paths: Record<string, string>

  beforeAll(async () => {
    await fill(url, 300)
    browser = await openBrowser()
    dashboard = await serve(asyncDashboard(db, { attempts: [Attempt], reports: [MonthlySales] }))
    const [failed] = await query(url, `SELECT id FROM attempts WHERE status = 'failed' ORDER BY id LIMIT 1`)
    const [running] = await query(url, `SELECT id FROM attempts WHERE status = 'running' ORDER BY id LIMIT 1`)
    const [failing] = await query(url, 'SELECT id FROM toasts WHERE failures > 0 LIMIT 1')
    await Attempt.pause('Newsletter', { reason: 'a typo' })
    const [report] = await query(url, 'SELECT id FROM reports LIMIT 1')
    paths = {
      overview: '/async',
      attempts: '/async/attempts/Attempt?status=failed',
      'all attempts': '/async/attempts/Attempt?since=1d',
      attempt: `/async/attempts/Attempt/${failed.id}`,
      'a running attempt': `/async/attempts/Attempt/${running.id}`,
      question: `/async/attempts/Attempt/confirm?action=cancel&id=${running.id}`,
      toasts: '/async/toasts',
      toast: `/async/toasts/${failing.id}`,
      reports: '/async/reports',
      report: `/async/reports/MonthlySales/${report.id}`,
      workers: '/async/workers',
      pauses: '/async/pauses',
      'a missing page': '/async/missing',
    }
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

  it.each(['light', 'dark'] as const)('axe finds nothing on any page, in the %s theme', async (colorScheme) => {
    for (const [name, path] of Object.entries(paths)) {
      const { page, context, problems } = await open(path, { colorScheme, bypassCSP: true })
      await page.addScriptTag({ content: axe.source })
      const found = (await page.evaluate('axe.run()')) as { violations: { id: string; nodes: { html: string }[] }[] }
      expect(
        found.violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
        name,
      ).toEqual([])
      expect(problems, name).toEqual([])
      await context.close()
    }
  })

  it.each([390, 820, 1280])('no page is wider than a screen of %s pixels', async (width) => {
    for (const [name, path] of Object.entries(paths)) {
      const { page, context } = await open(path, { viewport: { width, height: 800 } })
      expect(await page.evaluate('document.documentElement.scrollWidth'), name).toBeLessThanOrEqual(width)
      await context.close()
    }
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
    for (const path of [
      '/async',
      '/async/attempts/Attempt',
      '/async/toasts',
      '/async/pauses',
      ...ids.slice(0, 8).map((id) => `/async/attempts/Attempt/${id}`),
    ]) {
      const { page, context, problems } = await open(path, { viewport: { width: 390, height: 800 } })
      expect(await page.title(), path).not.toBe('hacked')
      expect(await page.evaluate('document.documentElement.scrollWidth'), path).toBeLessThanOrEqual(390)
      expect(problems, path).toEqual([])
      await context.close()
    }
  })
})
