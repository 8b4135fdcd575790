// Runs blocks one after the other, each with a transaction `tx` that is rolled back, and prints what one of them throws.
import './values.js'

class RollBack extends Error {}

for (const file of process.argv.slice(2)) {
  // A block is not the first of its page: what earlier ones have left makes no order a second one.
  // The locks keep the worker, which may still run their calls, from adding to it. They are taken in the order in which the worker changes
  // these tables, and allow the check of a foreign key: so neither waits for the other.
  await prisma.$transaction([
    prisma.$executeRaw`LOCK TABLE "Order", "Shipment" IN SHARE ROW EXCLUSIVE MODE`,
    prisma.shipment.deleteMany(),
    prisma.order.deleteMany({ where: { number: { not: 1 } } }),
  ])
  await prisma
    .$transaction(
      async (tx) => {
        Object.assign(globalThis, { tx })
        await import(`./${file}`)
        throw new RollBack()
      },
      { timeout: 60_000 },
    )
    .catch((error) => {
      if (!(error instanceof RollBack)) console.log(JSON.stringify({ file, error: String(error?.stack ?? error) }))
    })
}
process.exit()
