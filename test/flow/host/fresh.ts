// A toast and a report that nobody reads, and a schedule that keeps them fresh: for fresh.test.ts.
import { BaseAttempt, BaseReport, connect, defineSchedules, defineTargets, hasToast } from '@async-gen/runtime'
import { prisma } from '../../.app/src/db.js'

export const db = connect(prisma, { connectionString: process.env.DATABASE_URL })

export const servings = hasToast(db, 'oat', 'servings', {
  compute: async () => ({ orders: await prisma.order.count() }),
  // Neither the clock nor the parent makes it stale.
  expireIf: () => false,
})

export class Sales extends BaseReport(db, { model: 'Report', table: 'reports' })<{ month: string }> {
  static override readonly type: string = 'Sales'
  override async build() {
    return { month: this.args.month, orders: await prisma.order.count() }
  }
}

export const Freshness = {
  async servings() {
    for (const oat of await prisma.oat.findMany()) await servings.expire(oat)
  },
  async sales(month: string) {
    const report = await Sales.create({ month })
    await report.expire()
  },
}

const targets = defineTargets({ Freshness })
const cron = process.env.CRON ?? '0 * * * *'
const schedules = defineSchedules(targets, {
  'fresh servings': { target: Freshness, method: 'servings', cron, overlap: 'skip' },
  'fresh sales': { target: Freshness, method: 'sales', args: ['January'], cron, overlap: 'skip' },
})

export class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets,
  schedules: async () => ({ schedules }),
}) {}
