// Runs blocks one after the other, each with a transaction `tx` that is rolled back, and prints what one of them throws.
import './values.js'

class RollBack extends Error {}

for (const file of process.argv.slice(2)) {
  await forgetOrders()
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

/**
 * A block is not the first of its page: what earlier ones have left makes no order a second one. The lock keeps the worker, which may still
 * run their calls, from adding to it; whoever has an order already and waits for this lock would wait forever.
 */
async function forgetOrders(): Promise<void> {
  try {
    await prisma.$transaction([
      prisma.$executeRaw`LOCK TABLE "Shipment"`,
      prisma.shipment.deleteMany(),
      prisma.order.deleteMany({ where: { number: { not: 1 } } }),
    ])
  } catch (error) {
    if (!isDeadlock(error)) throw error
    await forgetOrders()
  }
}

function isDeadlock(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'P2034'
}
