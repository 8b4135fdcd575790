import { prisma } from './db.js'

/** Talks to the warehouse. This one writes its shipments down where everybody can see them. */
export class OrderClient {
  static async fulfill({ customerToken, orderNumber }: { customerToken: string; orderNumber: number }) {
    const order = await prisma.order.findUnique({ where: { number: orderNumber } })
    if (!order) throw new Error(`The warehouse knows no order ${orderNumber}`)
    if (order.customerToken !== customerToken) throw new Error(`Order ${orderNumber} belongs to another customer`)

    await prisma.order.update({
      where: { number: orderNumber },
      data: { status: 'fulfilled', shipments: { create: { carrier: 'bicycle' } } },
    })
    return { orderNumber, carrier: 'bicycle' }
  }
}
