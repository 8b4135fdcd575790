// The values of the names that prelude.ts declares, for blocks that are run.
import * as runtime from '@async-gen/runtime'
import { PrismaPg } from '@prisma/adapter-pg'
import { Attempt } from './src/async/attempt.js'
import { db } from './src/async/database.js'
import { Report } from './src/async/report.js'
import { MonthlySales } from './src/async/reports/monthly_sales.js'
import { UrgentAttempt } from './src/async/urgent_attempt.js'
import { prisma } from './src/db.js'
import { mailer } from './src/mailer.js'
import { Newsletter } from './src/newsletter.js'
import { OrderClient } from './src/order-client.js'
import { Orders } from './src/records.js'
import { Shopify } from './src/shopify.js'

export const customerToken = 'customer-7'

const oat = await prisma.oat.create({ data: { id: 7, name: 'Steel cut' } })
const order = await prisma.order.create({ data: { number: 1, customerToken } })
const args = { customerToken, orderNumber: order.number }
const attempt = await Attempt.async(OrderClient, { idempotenceToken: 'order-1' }).fulfill(args)

const breakfast = runtime.hasToast(db, 'oat', 'breakfast', { compute: async () => ({ servings: 2 }) })

process.env.ATTEMPT_KEY = Buffer.alloc(32, 1).toString('base64')
process.env.ATTEMPT_KEY_2 = Buffer.alloc(32, 2).toString('base64')

Object.assign(globalThis, runtime, {
  PrismaPg,
  Attempt,
  UrgentAttempt,
  breakfast,
  warehouse: { fulfill: async () => {}, post: async () => {} },
  beforeAll: (setUp: () => unknown) => setUp(),
  pager: { alert: async () => {} },
  db,
  Report,
  MonthlySales,
  prisma,
  Newsletter,
  OrderClient,
  mailer,
  Shopify,
  Orders,
  customerToken,
  oat,
  oats: [oat],
  order: { ...order, id: 100, number: 100 },
  args,
  id: attempt.id,
  calls: [{ target: OrderClient, method: 'fulfill', args: [args] }],
  inTwoDays: new Date(Date.now() + 2 * 86_400_000),
  tomorrow: new Date(Date.now() + 86_400_000),
  addUpOrdersOf: async () => 42,
  during: () => ({ number: { gt: 0 } }),
  regions: ['north'],
  crunch: async () => {},
  render: async (id: number) => `thing ${id}`,
  thing: { updatedAt: new Date() },
  countServings: async () => 2,
  heatOf: async () => ({ scoville: 30_000 }),
  stockOf: async () => ({ items: 3 }),
  breakfastOf: async () => ({ servings: 2 }),
  pages: ['one'],
})
