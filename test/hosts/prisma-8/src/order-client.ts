import { setTimeout as sleep } from 'node:timers/promises'
import { Attempt } from './async/attempt.js'

export class OrderClient {
  /** Writes in the transaction of the attempt: the order is fulfilled if and only if the attempt succeeds. */
  static async fulfill({ number }: { number: number }) {
    const { attempt, tx } = Attempt.current()
    const orders = (await tx()).orm.public.Order.where({ number })
    await orders.update({ status: `fulfilled in run ${attempt.numAttempts}` })
    if (attempt.numAttempts === 1) throw new Error('The van broke down')
    return { number }
  }

  /** Fails while statements that it does not await still start: none of them may commit. */
  static async hurry({ customerId }: { customerId: number }) {
    const tx = await Attempt.current().tx()
    const place = async () => {
      for (let number = 100; number < 600; number++) {
        await tx.orm.public.Order.create({ number, totalCents: 1, customerId })
      }
    }
    place().catch(() => {})
    await sleep(20)
    throw new Error('No time')
  }
}
