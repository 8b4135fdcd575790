// Compiled only: what the compiler knows of a client of Prisma 8.
import { hasToast } from '@async-gen/runtime'
import { Attempt } from './async/attempt.js'
import { db } from './async/database.js'
import { OrderClient } from './order-client.js'
import { db as client } from './prisma/db.js'

export const known = hasToast(db, 'Order', 'known', {
  id: 'number',
  compute: async (order) => {
    const cents: number = order.totalCents
    // @ts-expect-error the model has no such field
    order.nothing
    return cents
  },
})

// @ts-expect-error the contract has no such model
hasToast(db, 'Nothing', 'unknown', { compute: async () => 1 })

export async function record() {
  await client.transaction(async (tx) => {
    await Attempt.async(OrderClient, { tx }).fulfill({ number: 1 })
    // @ts-expect-error the argument is a number
    await Attempt.async(OrderClient, { tx }).fulfill({ number: 'one' })
  })
  // @ts-expect-error the client is no transaction
  await Attempt.async(OrderClient, { tx: client }).fulfill({ number: 1 })
}
