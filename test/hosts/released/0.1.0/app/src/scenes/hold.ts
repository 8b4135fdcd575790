import { Attempt } from '../async/attempt.js'
import { PaymentAttempt } from '../async/payment_attempt.js'
import { supper } from '../async/toasts.js'
import { prisma } from '../db.js'
import { Ledger } from '../ledger.js'
import { scene } from './scene.js'

// hold <label>: a call in each table and a toast that run until the test releases them.
const label = String(process.argv[2])

await scene(async () => {
  await Attempt.async(Ledger).hold(`${label} held`)
  await PaymentAttempt.async(Ledger).hold(`${label} held payment`)
  await supper(await prisma.oat.create({ data: { name: label } }))
})
