import { prisma } from '../db.js'
import { scene } from './scene.js'

// add-topping <oat> <name>: touches the oat, which Prisma does not when only a related record changes
await scene(() =>
  prisma.oat.update({
    where: { id: Number(process.argv[2]) },
    data: { updatedAt: new Date(), toppings: { create: { name: String(process.argv[3]) } } },
  }),
)
