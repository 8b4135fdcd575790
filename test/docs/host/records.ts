import { recordTarget } from '@async-gen/runtime'
import { prisma } from './db.js'

export const Orders = recordTarget({
  load: (id: number) => prisma.order.findUnique({ where: { id } }),
  methods: { fulfill: async (order, carrier: string) => ({ number: order.number, carrier }) },
})
