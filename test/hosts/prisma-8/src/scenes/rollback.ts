import { drain, inRollback } from '@async-gen/runtime/testing'
import { Attempt } from '../async/attempt.js'
import { db as runtime } from '../async/database.js'
import { OrderClient } from '../order-client.js'
import { db } from '../prisma/db.js'

/** A call that the test kit runs in the transaction of a test, which rolls back. */
const seen = await inRollback(db, async (tx) => {
  const { id: customerId } = await tx.orm.public.Customer.create({ name: 'Bear' })
  await tx.orm.public.Order.create({ number: 77, totalCents: 1, customerId })
  const attempt = await Attempt.async(OrderClient, { tx }).fulfill({ number: 77 })
  await drain(runtime, { until: '1 day', throwErrors: false })
  const order = await tx.orm.public.Order.first({ number: 77 })
  const { status, afterIds, scheduledAt } = await attempt.reload()
  return { order: order?.status, status, afterIds: afterIds.length, hasDate: scheduledAt instanceof Date }
})
console.log(JSON.stringify(seen))
process.exit()
