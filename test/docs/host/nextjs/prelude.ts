// The names that the blocks of docs/generators.md use without importing them.
import type { Injectable as InjectableDecorator } from '@nestjs/common'
import type { PrismaPg as Adapter } from '@prisma/adapter-pg'
import type { Attempt as AttemptClass } from './src/async/attempt'
import type { PrismaClient as Client } from './src/generated/prisma/client'
import type { OrderClient as OrderClientClass } from './src/lib/order-client'

declare class Service extends Client {
  constructor()
}

declare global {
  const Attempt: typeof AttemptClass
  const Injectable: typeof InjectableDecorator
  const OrderClient: typeof OrderClientClass
  const PrismaPg: typeof Adapter
  const PrismaService: typeof Service
  const prismaService: Service
  type PrismaClient = Client
  const connectionString: string
  const data: { number: number }
}
