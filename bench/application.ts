import { BaseAttempt, connect, defineTargets } from '@async-gen/runtime'
import { PrismaPg } from '@prisma/adapter-pg'

/** The application of the tests with one class of targets, connected to a database. */
export async function openApplication(url: string, { poolSize = 12 } = {}) {
  const { PrismaClient } = await import('../test/.app/src/generated/prisma/client.js')
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, max: 20 }) })
  const db = connect(prisma, { connectionString: url, poolSize })

  const Work = {
    add: async (a: number, b: number) => ({ sum: a + b }),
    stamp: async (call: number) => {
      report({ call, at: wallClock() })
      return call
    },
    hold: async (call: number) => {
      report({ call, at: wallClock() })
      // For longer than any benchmark takes.
      await new Promise((resolve) => setTimeout(resolve, 3_600_000))
    },
    order: async (number: number): Promise<number> => {
      const tx = await Attempt.current().tx()
      await tx.order.create({ data: { number, customerToken: 'tok' } })
      return number
    },
  }
  class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Work }) }) {}

  const close = async () => {
    await db.close()
    await prisma.$disconnect()
  }
  return { prisma, db, Work, Attempt, close }
}

/** What a worker process reports of a call that has started. */
export interface Started {
  call: number
  /** Milliseconds since 1970, with fractions. */
  at: number
}

/** Tells the process that has started this one. */
export function report(started: Started): void {
  process.send?.(started)
}

/** The time that all processes of a machine share, in milliseconds since 1970, with fractions. */
export function wallClock(): number {
  return performance.timeOrigin + performance.now()
}
