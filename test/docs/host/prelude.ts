// The names that blocks use without importing them. A block may declare a name of its own, which wins.
import type * as runtime from '@async-gen/runtime'
import type { Attempt as AttemptClass } from './src/async/attempt.js'
import type { db as database } from './src/async/database.js'
import type { Report as ReportClass } from './src/async/report.js'
import type { prisma as client } from './src/db.js'
import type { OrderClient as OrderClientClass } from './src/order-client.js'

type Oat = NonNullable<Awaited<ReturnType<typeof client.oat.findUnique>>>

declare global {
  const prisma: typeof client
  const db: typeof database
  const Attempt: typeof AttemptClass
  const Report: typeof ReportClass
  const OrderClient: typeof OrderClientClass
  const hasToast: typeof runtime.hasToast
  const defineTargets: typeof runtime.defineTargets
  const tx: Parameters<Parameters<typeof client.$transaction>[0]>[0]
  const oat: Oat
  const customerToken: string
  const args: { customerToken: string; orderNumber: number }
  const tomorrow: Date
  const addUpOrdersOf: (month: string) => Promise<number>
}
