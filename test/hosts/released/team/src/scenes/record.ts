import { Attempt } from '../async/attempt.js'
import { PaymentAttempt } from '../async/payment_attempt.js'
import { MonthlySales } from '../async/reports/monthly_sales.js'
import { breakfast, menu } from '../async/toasts.js'
import { prisma } from '../db.js'
import { Ledger } from '../ledger.js'
import { scene } from './scene.js'

// record <label> <number>: so many calls of each kind, and a read of each kind of toast. Prints what is to be booked.
const label = String(process.argv[2])
const calls = (kind: string) => Array.from({ length: Number(process.argv[3]) }, (_, i) => `${label} ${kind} ${i}`)

await scene(async () => {
  const within = calls('within')
  await prisma.$transaction(async (tx) => {
    for (const call of within) await Attempt.async(Ledger, { tx, data: { shop: label } }).book(call)
  })
  const plain = calls('plain')
  await prisma.attempt.createMany({
    data: plain.map((call) => ({ target: 'Ledger', method: 'book', args: [call] })),
  })
  const paid = calls('paid')
  await Promise.all(paid.map((call) => PaymentAttempt.async(Ledger).book(call)))
  const retried = calls('retried')
  await Promise.all(retried.map((call) => PaymentAttempt.async(Ledger).retry(call)))
  const later = calls('later')
  const soon = new Date(Date.now() + 1000)
  await Promise.all(later.map((call) => Attempt.schedule(soon, Ledger).book(call)))
  const once = `${label} once`
  for (const _ of [1, 2]) await Attempt.async(Ledger, { idempotenceToken: once }).book(once)

  const oat = await prisma.oat.create({ data: { name: label } })
  await breakfast(oat)
  await menu.fetch(label, 1, { arguments: [label] })
  await (await MonthlySales.create({ month: label })).build()
  return { booked: [...within, ...plain, ...paid, ...retried, ...later, once], oat: oat.id }
})
