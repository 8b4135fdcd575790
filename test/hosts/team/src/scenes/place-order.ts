import { Attempt } from '../async/attempt.js'
import { prisma } from '../db.js'
import { OrderClient } from '../order-client.js'
import { scene } from './scene.js'

// place-order <number> [decline]: the order and the call to the warehouse, in one transaction; `decline` rolls it back.
const [number, decline] = process.argv.slice(2)
const customerToken = 'tok_7355608'

await scene(() =>
  prisma
    .$transaction(async (tx) => {
      const order = await tx.order.create({ data: { number: Number(number), customerToken, totalCents: 4200 } })
      const attempt = await Attempt.async(OrderClient, { tx }).fulfill({ customerToken, orderNumber: order.number })
      if (decline) throw new Error('The card was declined')
      return { attempt: Number(attempt.id) }
    })
    .catch((error: Error) => ({ error: error.message })),
)
