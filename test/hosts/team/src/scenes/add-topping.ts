import { prisma } from '../db.js'
import { scene } from './scene.js'

// add-topping <oat> <name>: changes the oat, so that its breakfast is no longer the latest
await scene(() =>
  prisma.oat.update({
    where: { id: Number(process.argv[2]) },
    data: { toppings: { create: { name: String(process.argv[3]) } } },
  }),
)
