import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '@async-gen/runtime'
import type { SqlMiddleware } from '@prisma/orm-postgres/family-runtime'
import postgres from '@prisma/orm-postgres/runtime'
import type { Contract } from '../prisma/contract.d.js'
import contractJson from '../prisma/contract.json' with { type: 'json' }

const url = process.env.DATABASE_URL!
const [customerId = 0, first = 0] = process.argv.slice(2).map(Number)

/** Delays each statement before it is sent. */
const slow: SqlMiddleware = {
  name: 'slow',
  familyId: 'sql',
  beforeQuery: () => sleep(200),
  beforeExecute: () => sleep(200),
}
const client = postgres<Contract>({ contractJson, url, middleware: [slow] })
const runtime = connect(client, { connectionString: url, transactionTimeout: 500 })
const refused = () => {}

/** Rolls back, or times out, while a statement waits in the middleware. */
async function write(number: number, wait: number) {
  const { tx, rollback } = await runtime.openTransaction({ cancellable: false })
  await sleep(wait)
  const written = tx.orm.public.Order.create({ number, totalCents: 1, customerId }).catch(refused)
  await sleep(100)
  const ended = wait === 0 ? rollback() : sleep(400)
  await sleep(10)
  const late = tx.orm.public.Order.create({ number: number + 1, totalCents: 1, customerId }).catch(refused)
  await Promise.all([ended, written, late])
}

await write(first, 0)
await write(first + 10, 350)
await sleep(300)
console.log('{}')
process.exit()
