import { defineTargets, recordTarget } from '@async-gen/runtime'
import { prisma } from '../db.js'
import { Newsletter } from '../newsletter.js'
import { OrderClient } from '../order-client.js'

export const mailer = { welcome: async (address: string) => address }

export const Orders = recordTarget({
  load: (id: number) => prisma.order.findUnique({ where: { id } }),
  methods: { fulfill: async (order, carrier: string) => ({ number: order.number, carrier }) },
})

export const targets = defineTargets(() => ({ OrderClient, Newsletter, mailer, Orders }))
