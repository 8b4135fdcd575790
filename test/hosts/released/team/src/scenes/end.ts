import { Attempt } from '../async/attempt.js'
import { lunch } from '../async/toasts.js'
import { prisma } from '../db.js'
import { Ledger } from '../ledger.js'
import { scene } from './scene.js'

// end <label>: calls that end otherwise than by success, and one with a child.
const label = String(process.argv[2])
const later = new Date(Date.now() + 3_600_000)

await scene(async () => {
  await Attempt.create({ target: Ledger, method: 'refuse', args: [`${label} refused`], maxAttempts: 1 })
  await (await Attempt.schedule(later, Ledger).book(`${label} cancelled`)).cancel()
  await (await Attempt.schedule(later, Ledger).book(`${label} expired`)).expire()
  const parent = await Attempt.async(Ledger).notify(`${label} parent`)
  await Attempt.async(Ledger, { parent }).notify(`${label} child`)
  await lunch(await prisma.oat.create({ data: { name: `${label} lunch` } }))
})
