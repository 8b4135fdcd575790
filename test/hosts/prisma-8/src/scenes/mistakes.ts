import { connect } from '@async-gen/runtime'
import { Attempt } from '../async/attempt.js'
import { OrderClient } from '../order-client.js'
import { db } from '../prisma/db.js'

const warnings: string[] = []
process.on('warning', ({ message }) => warnings.push(message))

/** The client itself in place of its transaction. */
const refused = await Attempt.async(OrderClient, { tx: db as never })
  .fulfill({ number: 1 })
  .catch(({ code }: { code: string }) => code)
// A call that forgets its transaction.
await db.transaction(async () => {
  const { id } = await Attempt.async(OrderClient).fulfill({ number: 1 })
  await (await Attempt.find(id))!.cancel()
})
// A transaction that has ended.
let ended: Parameters<Parameters<typeof db.transaction>[0]>[0] | undefined
await db.transaction(async (tx) => {
  ended = tx
})
const late = await Attempt.async(OrderClient, { tx: ended! })
  .fulfill({ number: 1 })
  .catch(({ code }: { code: string }) => code)
/** What is no client. */
const notClients = [undefined, process.env.DATABASE_URL, db.orm, db.runtime(), ended].map((given) => {
  try {
    return connect(given as never, {})
  } catch (error) {
    return (error as { code: string }).code
  }
})
await new Promise((resolve) => setTimeout(resolve, 10))
console.log(JSON.stringify({ refused, late, warnings, notClients }))
process.exit()
