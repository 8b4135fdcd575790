import { Attempt } from '../async/attempt.js'
import { PaymentAttempt } from '../async/payment_attempt.js'
import { Ledger } from '../ledger.js'
import { scene } from './scene.js'

// schedule <label>: calls that are due in ten seconds and in two days, and one that must not run twice.
const label = String(process.argv[2])
const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000)

await scene(async () => {
  await Attempt.schedule(inSeconds(10), Ledger).book(`${label} soon`)
  await Attempt.schedule(inSeconds(2 * 86_400), Ledger).book(`${label} in two days`)
  await PaymentAttempt.schedule(inSeconds(2 * 86_400), Ledger).book(`${label} payment in two days`)
})
