import { BaseAttempt, defineTargets, defineToast } from '@async-gen/runtime'
import * as kit from '@async-gen/runtime/testing'
import { afterAll, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'

await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

const Service = { note: async (what: string) => what }
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Service }) }) {}
const toast = defineToast(db, 'kit.arguments', { load: async (id: number) => ({ id }), compute: () => 1, expireIn: 1 })

/** The functions, for arguments that the compiler would refuse. */
const any = kit as unknown as Record<string, (...args: unknown[]) => unknown>
const { id } = await Attempt.async(Service).note('one')
const tx = await db.openTransaction({ cancellable: false })
await tx.rollback()

afterAll(() => db.close())

describe('the functions of the test kit', () => {
  const cases: [call: string, () => unknown, message: string][] = [
    [
      'drain()',
      () => any.drain!(),
      'drain() needs the Database of src/async/database.ts: drain(db). It got undefined.',
    ],
    ['drain(prisma)', () => any.drain!(prisma), 'It got a PrismaClient.'],
    ['drain(tx)', () => any.drain!(tx.tx), 'It got a transaction.'],
    ['drain(Attempt)', () => any.drain!(Attempt), 'It got the class Attempt.'],
    ['testClock(prisma)', () => any.testClock!(prisma), 'testClock() needs the Database'],
    ['perform(Attempt)', () => any.perform!(Attempt), 'perform() needs an Attempt: perform(await Attempt.find(id)).'],
    ['perform(promise)', () => any.perform!(Attempt.find(id)), 'It got a promise: await it.'],
    ['perform([attempt])', () => any.perform!([]), 'It got an array.'],
    ['perform(id)', () => any.perform!(5n), 'It got the bigint 5.'],
    [
      'perform(row)',
      async () => any.perform!(await prisma.attempt.findFirst()),
      'await Attempt.find(row.id). It got an object.',
    ],
    ['loseRun(row)', async () => any.loseRun!(await prisma.attempt.findFirst()), 'loseRun() needs an Attempt'],
    ['loseRun(function)', () => any.loseRun!(() => {}, 1), 'loseRun() needs a class of attempts'],
    [
      'expectAttempt(db)',
      () => any.expectAttempt!(db),
      'expectAttempt() needs a class of attempts: expectAttempt(Attempt).',
    ],
    [
      "toHaveRecorded(Service, 'note', 'one')",
      () => kit.expectAttempt(Attempt).toHaveRecorded(Service, 'note', 'one' as never),
      "toHaveRecorded() needs the arguments of the call in an array: toHaveRecorded(Target, 'method', [arg]).",
    ],
    ['recorded(db)', () => any.recorded!(db), 'recorded() needs a class of attempts'],
    [
      'inRollback(db)',
      () => any.inRollback!(db, async () => {}),
      'inRollback() needs a PrismaClient: inRollback(prisma, async (tx) => …).',
    ],
    ['inRollback(prisma)', () => any.inRollback!(prisma), 'inRollback() needs a function'],
    [
      'inline(db)',
      async () => any.inline!(db),
      'inline() needs a class of attempts: inline(Attempt). It got a Database.',
    ],
    ['computeInline(Attempt)', async () => any.computeInline!(Attempt), 'computeInline() needs the Database'],
    ['refreshNow(toast, parent)', () => any.refreshNow!(toast, { id: 1 }), 'refreshNow() needs the Database'],
    [
      'refreshNow(db, parent)',
      () => any.refreshNow!(db, { id: 1 }),
      'refreshNow(db, toast, parent). It got an object.',
    ],
    ['prune(prisma)', () => any.prune!(prisma), 'prune() needs the Database'],
    ['workerId(prisma)', () => any.workerId!(prisma), 'workerId() needs the Database'],
    ['requireNoWorker(prisma)', () => any.requireNoWorker!(prisma), 'requireNoWorker() needs the Database'],
    ['requireTestDatabase(prisma)', () => any.requireTestDatabase!(prisma), 'requireTestDatabase() needs the Database'],
  ]

  it.each(cases)('refuse %s, and say what to pass', async (_call, run, message) => {
    const running = new Promise((resolve) => resolve(run()))
    await expect(running).rejects.toMatchObject({ code: 'INVALID_OPTION', message: expect.stringContaining(message) })
  })

  it('refuse an option that testDatabase() does not have', async () => {
    await expect(any.testDatabase!({ migration: 'prisma' })).rejects.toMatchObject({ code: 'UNKNOWN_OPTION' })
  })
})
