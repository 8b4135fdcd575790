import { Attempt } from '../async/attempt.js'
import { PaymentAttempt } from '../async/payment_attempt.js'
import { lunch } from '../async/toasts.js'
import { prisma } from '../db.js'
import { Ledger } from '../ledger.js'
import { scene } from './scene.js'

// fail <label>: calls and a toast whose first run fails.
const label = String(process.argv[2])

await scene(async () => {
  await Attempt.async(Ledger).retry(label)
  await PaymentAttempt.async(Ledger).retry(`${label} payment`)
  await lunch(await prisma.oat.create({ data: { name: label } }))
})
