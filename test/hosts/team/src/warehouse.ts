import { Attempt } from './async/attempt.js'

export class Warehouse {
  /** Books a shipment in the attempt's own transaction: it is there if and only if the attempt succeeds. */
  static async ship({ orderNumber }: { orderNumber: number }) {
    const { attempt, tx } = Attempt.current()
    const { id } = await (await tx()).shipment.create({ data: { orderNumber, carrier: 'van' } })
    if (attempt.numAttempts === 1) throw new Error('The van broke down', { cause: new Error('flat tyre') })
    return { shipment: id }
  }
}
