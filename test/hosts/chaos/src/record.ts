// Records calls at the same time, as an application does that opens no transaction, and prints what went wrong as JSON.
import { Attempt } from './async/attempt.js'
import { db } from './async/database.js'
import { prisma } from './db.js'
import { Proof } from './proof.js'

const calls = Array.from({ length: Number(process.argv[2]) }, (_, i) =>
  i % 2 === 0
    ? Attempt.async(Proof).loose(50)
    : Attempt.create({ target: Proof, method: 'loose', args: [50], maxAttempts: 1 }),
)
const outcomes = await Promise.allSettled(calls)
console.log(JSON.stringify(outcomes.flatMap((each) => (each.status === 'rejected' ? [String(each.reason)] : []))))
await db.close()
await prisma.$disconnect()
