import { setTimeout as sleep } from 'node:timers/promises'
import { Attempt } from './async/attempt.js'
import { prisma } from './db.js'

/** What the attempts call. Each run enters the call, its number and its process. */
export class Ledger {
  /** Enters the call in the attempt's own transaction: exactly once. */
  static async book(call: string) {
    const { run, tx } = Attempt.current()
    await (await tx()).entry.create({ data: { call, run, pid: process.pid } })
    return `booked ${call}`
  }

  /** Enters the call outside of a transaction: at least once. */
  static async notify(call: string) {
    await enter(call, Attempt.current().run)
    return `notified ${call}`
  }

  /** Fails in its first run. */
  static async retry(call: string) {
    if (Attempt.current().run === 1) throw new Error('The pen is empty', { cause: new Error('No ink') })
    return await Ledger.book(call)
  }

  static async refuse(call: string) {
    throw new Error(`Nobody books ${call}`)
  }

  /** Books the call, and keeps its transaction open until the test releases it. */
  static async hold(call: string) {
    const booked = await Ledger.book(call)
    await held(call, Attempt.current().run)
    return booked
  }
}

/** Enters that it waits, and waits until the test has entered `release`. */
export async function held(call: string, run: number) {
  await enter(`${call} waits`, run)
  while ((await prisma.entry.count({ where: { call: 'release' } })) === 0) await sleep(50)
}

async function enter(call: string, run: number) {
  await prisma.entry.create({ data: { call, run, pid: process.pid } })
}
