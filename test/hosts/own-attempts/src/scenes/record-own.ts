import { Attempt } from '../async/attempt.js'
import { EmailAttempt } from '../async/email_attempt.js'
import { OrderClient } from '../order-client.js'
import { UrgentAttempt } from '../urgent_attempt.js'
import { scene } from './scene.js'

const order = (orderNumber: number) => ({ customerToken: 'tok_7355608', orderNumber })

// record-own: a call in each of two tables, one with a column of the team's own, and one of a subclass
await scene(async () => {
  const email = await EmailAttempt.async(OrderClient).fulfill(order(1))
  const attempt = await Attempt.async(OrderClient, { data: { account: 'acme' } }).fulfill(order(2))
  const urgent = await UrgentAttempt.async(OrderClient).fulfill(order(404))
  const read = await Attempt.find(attempt.id)
  return {
    email: Number(email.id),
    attempt: Number(attempt.id),
    urgent: Number(urgent.id),
    account: read?.data.account,
    args: email.args,
  }
})
