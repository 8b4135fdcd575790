import { Attempt } from '../async/attempt.js'
import { OrderClient } from '../order-client.js'

const attempt = await Attempt.create({
  target: OrderClient,
  method: 'hurry',
  args: [{ customerId: Number(process.argv[2]) }],
  maxAttempts: 1,
})
console.log(JSON.stringify({ attempt: Number(attempt.id) }))
process.exit()
