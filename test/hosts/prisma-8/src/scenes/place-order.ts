import { Attempt } from '../async/attempt.js'
import { OrderClient } from '../order-client.js'
import { db } from '../prisma/db.js'

const [, , number, decline] = process.argv

/** Places an order and records a call, in one transaction. */
async function placeOrder(order: number) {
  return await db.transaction(async (tx) => {
    const { id: customerId } = await tx.orm.public.Customer.create({ name: 'Goldilocks' })
    await tx.orm.public.Order.create({ number: order, totalCents: 4200, customerId })
    const attempt = await Attempt.async(OrderClient, { tx }).fulfill({ number: order })
    if (decline) throw new Error('The card was declined')
    return { attempt: Number(attempt.id), recordedAt: attempt.createdAt instanceof Date, customer: customerId }
  })
}

console.log(JSON.stringify(await placeOrder(Number(number)).catch(({ message }: Error) => ({ error: message }))))
process.exit()
