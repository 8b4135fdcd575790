// The target is imported first, as a page of the application would.

import { Attempt } from '../async/attempt.js'
import { Billing } from '../billing.js'

const attempt = await Attempt.async(Billing).charge(7)
console.log(JSON.stringify({ attempt: Number(attempt.id) }))
