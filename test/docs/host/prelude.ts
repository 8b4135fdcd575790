// The names that blocks use without importing them. A block may declare a name of its own, which wins.

import type { AsyncLocalStorage } from 'node:async_hooks'
import type * as runtime from '@async-gen/runtime'
import type { DashboardHandler } from '@async-gen/runtime/dashboard'
import type { PrismaPg as Adapter } from '@prisma/adapter-pg'
import type { Attempt as AttemptClass } from './src/async/attempt.js'
import type { db as database } from './src/async/database.js'
import type { Report as ReportClass } from './src/async/report.js'
import type { MonthlySales as MonthlySalesReport } from './src/async/reports/monthly_sales.js'
import type { UrgentAttempt as UrgentAttemptClass } from './src/async/urgent_attempt.js'
import type { prisma as client } from './src/db.js'
import type { mailer as mailerObject } from './src/mailer.js'
import type { Newsletter as NewsletterClass } from './src/newsletter.js'
import type { OrderClient as OrderClientClass } from './src/order-client.js'
import type { Orders as OrdersTarget } from './src/records.js'
import type { Shopify as ShopifyClass } from './src/shopify.js'

type Oat = NonNullable<Awaited<ReturnType<typeof client.oat.findUnique>>>
type Order = NonNullable<Awaited<ReturnType<typeof client.order.findUnique>>>
type Breakfast = runtime.Toast<Oat, { servings: number }>

declare global {
  const prisma: typeof client
  const db: typeof database
  const Attempt: typeof AttemptClass
  const UrgentAttempt: typeof UrgentAttemptClass
  const Report: typeof ReportClass
  const OrderClient: typeof OrderClientClass
  const Newsletter: typeof NewsletterClass
  const mailer: typeof mailerObject
  const Shopify: typeof ShopifyClass
  const Orders: typeof OrdersTarget
  const MonthlySales: typeof MonthlySalesReport
  const PrismaPg: typeof Adapter
  const AesGcmEncryptor: typeof runtime.AesGcmEncryptor
  const asyncCached: typeof runtime.asyncCached
  const BaseAttempt: typeof runtime.BaseAttempt
  const defineTargets: typeof runtime.defineTargets
  const hasToast: typeof runtime.hasToast
  const isReady: typeof runtime.isReady
  const PermanentError: typeof runtime.PermanentError
  const recordTarget: typeof runtime.recordTarget
  const runWorker: typeof runtime.runWorker
  const toastStates: typeof runtime.toastStates
  type CachedToast<Parent> = runtime.CachedToast<Parent>
  type PerformOptions = runtime.PerformOptions
  const tx: Parameters<Parameters<typeof client.$transaction>[0]>[0]
  const id: number
  const order: Order
  const inTwoDays: Date
  const calls: Parameters<typeof AttemptClass.createMany<typeof AttemptClass>>[0]
  const tenants: AsyncLocalStorage<unknown>
  const bank: { find(id: string): Promise<{ state: string }> }
  const Sentry: {
    withScope<Result>(
      run: (scope: {
        setTag(key: string, value: string): void
        setContext(name: string, values: object): void
      }) => Result,
    ): Result
    captureException(error: unknown, options: object): void
    captureCheckIn(checkIn: { monitorSlug: string; status: string }): void
  }
  const pager: { alert(message: string, errors: unknown): Promise<void> }
  const warehouse: {
    fulfill(number: number): Promise<void>
    post(path: string, body: object, options: { idempotencyKey: string; signal: AbortSignal }): Promise<void>
  }
  const oat: Oat
  const oats: Oat[]
  const breakfast: Breakfast
  const breakfastOf: (oat: Oat) => Promise<{ servings: number }>
  const countServings: (id: number) => Promise<number>
  const heatOf: (spice: object) => Promise<{ scoville: number }>
  const stockOf: (shelf: object) => Promise<{ items: number }>
  const pages: string[]
  const crunch: (page: string, options: { signal: AbortSignal }) => Promise<void>
  const render: (id: number) => Promise<string>
  const thing: { updatedAt: Date }
  const regions: string[]
  const during: (month: string) => { number: { gt: number } }
  const tasks: URL
  const beforeAll: (setUp: () => unknown) => void
  const customerToken: string
  const dashboard: DashboardHandler
  const args: { customerToken: string; orderNumber: number }
  const tomorrow: Date
  const addUpOrdersOf: (month: string) => Promise<number>
}
