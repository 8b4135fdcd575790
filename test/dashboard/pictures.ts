// Makes the pictures of docs/images/: `npm run pictures`. With a folder, makes all pages there in both themes and three widths.
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { runMigrations } from 'graphile-worker'
import pg from 'pg'
import { APP, REPOSITORY } from '../support/host.js'
import { createDatabase, query, startPostgres } from '../support/postgres.js'
import { prisma } from '../support/prisma.js'
import { findChromium, openBrowser } from './browser.js'
import { fill } from './scenery.js'
import { serve } from './serve.js'

const [folder] = process.argv.slice(2)
const WIDTHS = folder ? [1280, 820, 390] : [1280]
const THEMES = folder ? (['light', 'dark'] as const) : (['light', 'dark'] as const)

/** The pages of the guide. The others are for the developers of the dashboard. */
const DOCS = ['overview', 'attempt']

if (!findChromium()) throw new Error('The pictures need Chromium: install it, or name it in CHROMIUM.')
if (!existsSync(APP)) throw new Error('test/.app is missing: npm run test:prepare')
const server = await startPostgres()
const url = await createDatabase(server)
process.env.DATABASE_URL = url
await runMigrations({ connectionString: url })
await prisma(APP, ['migrate', 'deploy'], { env: { DATABASE_URL: url } })
await fill(url, 6000)

// The workers of the pictures are this process.
const locks = new pg.Client({ connectionString: url })
await locks.connect()
await locks.query('SELECT pg_advisory_lock($1, id) FROM async_workers', [0x4147656e])

const { db } = await import('../.app/src/async/database.js')
const { Attempt } = await import('../.app/src/async/attempt.js')
const { MonthlySales } = await import('../.app/src/async/reports/monthly_sales.js')
const { asyncDashboard } = await import('@async-gen/runtime/dashboard')
const dashboard = await serve(
  asyncDashboard(db, { attempts: [Attempt], reports: [MonthlySales], authorize: () => ({ user: 'ada@shop.example' }) }),
)
await Attempt.pause({ reason: 'the warehouse is moving', until: '2 hours' })
const [failed] = await query(url, `SELECT id FROM attempts WHERE status = 'failed' ORDER BY completed_at DESC LIMIT 1`)
const [running] = await query(url, `SELECT id FROM attempts WHERE status = 'running' LIMIT 1`)
const [failing] = await query(url, 'SELECT id FROM toasts WHERE failures > 0 LIMIT 1')

const pages: Record<string, string> = {
  overview: '',
  attempts: '/attempts/Attempt',
  failed: '/attempts/Attempt?status=failed',
  pending: '/attempts/Attempt?status=pending&since=1d',
  running: '/attempts/Attempt?status=running',
  attempt: `/attempts/Attempt/${failed.id}`,
  progress: `/attempts/Attempt/${running.id}`,
  confirm: '/attempts/Attempt/confirm?action=retry&all=1&status=failed&call=OrderClient.fulfill',
  toasts: '/toasts',
  toast: `/toasts/${failing.id}`,
  reports: '/reports',
  workers: '/workers',
  pauses: '/pauses',
}

const target = folder ?? join(REPOSITORY, 'docs/images')
mkdirSync(target, { recursive: true })
const browser = await openBrowser()
for (const colorScheme of THEMES) {
  for (const width of WIDTHS) {
    const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme })
    const page = await context.newPage()
    for (const [name, path] of Object.entries(pages)) {
      if (!folder && !DOCS.includes(name)) continue
      await page.goto(`${dashboard.url}/async${path}`)
      const file = folder ? `${name}-${colorScheme}-${width}.png` : `dashboard-${name}-${colorScheme}.png`
      await page.screenshot({ path: join(target, file), fullPage: folder !== undefined })
    }
    await context.close()
  }
}
await browser.close()
await dashboard.close()
await locks.end()
await db.close()
await server.stop()
process.exit()
