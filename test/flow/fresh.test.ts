import { isReady } from '@async-gen/runtime'
import { drain } from '@async-gen/runtime/testing'
import { afterEach, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { REPOSITORY } from '../support/host.js'
import { query } from '../support/postgres.js'
import { bundled } from '../support/programs.js'
import { startWorker } from '../support/worker.js'

const url = await testDatabase()
const { Attempt, db, Sales, servings } = await import('./host/fresh.js')
const { prisma } = await import('../.app/src/db.js')

afterEach(() => query(url, 'TRUNCATE attempts, async_schedules, toasts, reports, "Order", "Oat" CASCADE'))

const order = (number: number) => prisma.order.create({ data: { number, customerToken: 'ada' } })

/** The numbers of orders that the stored values have. `peek` asks for no refresh. */
async function stored() {
  const [oat] = await prisma.oat.findMany()
  const [toast, report] = [await servings.peek(oat!), await (await Sales.create({ month: 'January' })).peek()]
  return [toast, report].map((value) => (isReady(value) ? value.orders : undefined))
}

it('a schedule has a worker compute a toast and a report again that nobody reads', async () => {
  await prisma.oat.create({ data: { name: 'Steel cut' } })
  const worker = startWorker(
    REPOSITORY,
    { DATABASE_URL: url, CRON: '* * * * * *' },
    bundled('test/flow/host/fresh-worker.ts'),
  )
  // Before `afterEach`, whose TRUNCATE could meet its statements in a deadlock.
  try {
    for (const number of [1, 2]) {
      await order(number)
      await eventually(`the values to have ${number} orders`, async () =>
        (await stored()).every((orders) => orders === number),
      )
    }
  } finally {
    await worker.stop()
  }
}, 60_000)

it('`drain` does the same in a test', async () => {
  await prisma.oat.create({ data: { name: 'Steel cut' } })
  await order(1)
  const first = await drain(db, { until: '1 hour', attempts: [Attempt] })
  expect([first.succeeded, first.refreshed]).toEqual([2, 2])
  expect(await stored()).toEqual([1, 1])
  await order(2)
  expect(await stored()).toEqual([1, 1])
  // The occurrences of the first hour were recorded already.
  await drain(db, { until: '1 hour', attempts: [Attempt] })
  expect(await stored()).toEqual([1, 1])
  await drain(db, { until: '2 hours', attempts: [Attempt] })
  expect(await stored()).toEqual([2, 2])
})
