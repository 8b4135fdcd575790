import { isDeepStrictEqual } from 'node:util'
import { Attempt } from '../async/attempt.js'
import { EmailAttempt } from '../async/email_attempt.js'
import { prisma } from '../db.js'
import { Prisma } from '../generated/prisma/client.js'
import { OrderClient } from '../order-client.js'
import { UrgentAttempt } from '../urgent_attempt.js'
import { scene } from './scene.js'

const order = (orderNumber: number) => ({ customerToken: 'tok_7355608', orderNumber })
const select = { account: true, fee: true, ledger: true, dueAt: true, seal: true }
const later = new Date(Date.now() + 3_600_000)

// record-own: a call in each of two tables, one with columns of the team's own, and one of a subclass
await scene(async () => {
  const email = await EmailAttempt.async(OrderClient).fulfill(order(1))
  const data = {
    account: 'acme',
    fee: new Prisma.Decimal('12.50'),
    ledger: 2n ** 60n,
    dueAt: new Date('2030-07-01T10:00:00.123Z'),
    seal: new Uint8Array([0, 255]),
  }
  const attempt = await Attempt.async(OrderClient, { data }).fulfill(order(2))
  const within = await prisma.$transaction((tx) => Attempt.schedule(later, OrderClient, { tx, data }).fulfill(order(3)))
  const urgent = await UrgentAttempt.async(OrderClient).fulfill(order(404))
  const expected = await prisma.attempt.findUniqueOrThrow({ where: { id: attempt.id }, select })
  const read = [attempt, within, await Attempt.find(attempt.id)]
  return {
    email: Number(email.id),
    attempt: Number(attempt.id),
    urgent: Number(urgent.id),
    stored: isDeepStrictEqual(expected, data),
    read: read.map((each) => isDeepStrictEqual(each?.data, expected)),
    args: email.args,
  }
})
