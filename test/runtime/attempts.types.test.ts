// What must not compile. `npm run check` compiles this file: an error that no longer occurs is one itself.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  BaseAttempt,
  type CallInput,
  connect,
  defineTargets,
  hasToast,
  recordTarget,
  type TargetsOf,
} from '@async-gen/runtime'
import { PrismaPg } from '@prisma/adapter-pg'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { type Prisma, PrismaClient } from '../.app/src/generated/prisma/client.js'
import { testDatabase } from '../support/database.js'
import { REPOSITORY } from '../support/host.js'
import { run } from '../support/run.js'

const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

class Client {
  static charge(card: string, cents: number) {
    return Promise.resolve({ card, cents })
  }
  static ping() {}
}
const Orders = recordTarget({
  load: (id: number) => prisma.order.findUnique({ where: { id } }),
  methods: { ship: async (order, carrier: 'van' | 'bicycle') => `${order.number} ${carrier}` },
})
const targets = defineTargets({ Client, Orders })
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}

/** As NestJS applications have it: a client with lifecycle hooks and methods of its own, which no transaction has. */
class PrismaService extends PrismaClient {
  async onModuleInit() {
    await this.$connect()
  }
  ordersToday() {
    return this.order.count()
  }
}
const service = new PrismaService({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL! }) })
const nest = connect(service, { connectionString: process.env.DATABASE_URL })
class NestAttempt extends BaseAttempt(nest, { model: 'Attempt', table: 'attempts', targets }) {}

/** Never called: only its types matter. */
const neverCalled = (async () => {
  const attempt = await Attempt.async(Client).charge('4111', 100)
  expectTypeOf(attempt).toExtend<Attempt>()
  expectTypeOf(attempt.result).toEqualTypeOf<{ card: string; cents: number } | undefined>()
  expectTypeOf(await attempt.wait({ timeout: '5s' })).toEqualTypeOf<{ card: string; cents: number }>()
  expectTypeOf((await Attempt.schedule(new Date(), Orders.for({ id: 1 })).ship('van')).result).toEqualTypeOf<
    string | undefined
  >()
  expectTypeOf(await (await Attempt.async(Client).ping()).wait()).toEqualTypeOf<void>()
  expectTypeOf(await attempt.children()).toEqualTypeOf<Attempt[]>()
  expectTypeOf(await Attempt.current().tx()).toExtend<Prisma.TransactionClient>()
  expectTypeOf(await attempt.reload()).toExtend<Attempt>()
  expectTypeOf(await Attempt.find(1n)).toEqualTypeOf<Attempt | null>()
  expectTypeOf(Attempt.async(Orders.for({ id: 1 })).ship).parameters.toEqualTypeOf<[carrier: 'van' | 'bicycle']>()
  expectTypeOf((await Attempt.current().tx()).order.create).toBeFunction()
  expectTypeOf(Attempt.current().attempt).toEqualTypeOf<Attempt>()

  await Attempt.create({ target: Client, method: 'ping' })
  await Attempt.create({ target: Orders, method: 'ship', args: [1, 'van'], priority: 3 })
  const created = await Attempt.create({ target: Client, method: 'charge', args: ['4111', 100] })
  expectTypeOf(created.result).toEqualTypeOf<{ card: string; cents: number } | undefined>()
  const any = {} as CallInput<TargetsOf<typeof Attempt>>
  expectTypeOf(await Attempt.createMany([any])).toEqualTypeOf<Attempt[]>()
  // @ts-expect-error a target that is not listed
  await Attempt.create({ target: Date, method: 'now' })
  // @ts-expect-error a method that there is not
  await Attempt.create({ target: Client, method: 'chrage', args: ['4111', 100] })
  // @ts-expect-error an argument of another type
  await Attempt.create({ target: Client, method: 'charge', args: ['4111', '100'] })

  // @ts-expect-error a target that is not listed
  Attempt.async(Date)
  // @ts-expect-error a method that there is not
  Attempt.async(Client).chrage('4111', 100)
  // @ts-expect-error a missing argument
  Attempt.async(Client).charge('4111')
  // @ts-expect-error an argument of another type
  Attempt.async(Client).charge('4111', '100')
  // @ts-expect-error the same of a record
  Attempt.async(Orders.for({ id: 1 })).ship('rocket')
  // @ts-expect-error a record's id has the type that its loader takes
  Orders.for({ id: 'one' })
  // @ts-expect-error arguments that the method does not take
  await Attempt.create({ target: Client, method: 'ping', args: [1] })
  // @ts-expect-error arguments that the method needs
  await Attempt.create({ target: Client, method: 'charge' })
  // @ts-expect-error a misspelt option
  await Attempt.create({ target: Client, method: 'ping', prioritty: 3 })
  // @ts-expect-error a column that the model does not have
  await Attempt.create({ target: Client, method: 'ping', data: { account: 'acme' } })
  // @ts-expect-error a client is no transaction
  Attempt.async(Client, { tx: 'tx' })
  await service.$transaction(async (tx) => {
    await NestAttempt.async(Client, { tx }).ping()
    await NestAttempt.create({ target: Client, method: 'ping' }, { tx })
    await hasToast(nest, 'oat', 'nest', { compute: () => 1 }).expire({ id: 1, updatedAt: new Date() }, { tx })
  })
  // @ts-expect-error a transaction without the models
  NestAttempt.async(Client, { tx: { $queryRawUnsafe: async () => [] } })
  await Attempt.pause()
  await Attempt.pause({ until: '1 hour', reason: 'deploy' })
  await Attempt.pause(Client, { until: new Date(), method: 'charge' })
  await Attempt.pause('Orders', { method: 'ship' })
  expectTypeOf(await Attempt.resume(Orders, { method: 'ship' })).toEqualTypeOf<boolean>()
  await Attempt.resume('NoLongerListed', { method: 'old' })
  // @ts-expect-error a target that is not listed
  await Attempt.pause(Date)
  // @ts-expect-error the name of a target that is not listed
  await Attempt.pause('Clinet')
  // @ts-expect-error a method that there is not
  await Attempt.pause(Client, { method: 'chrage' })
  // @ts-expect-error a method that there is not, of a target by its name
  await Attempt.pause('Client', { method: 'ship' })
  // @ts-expect-error a method without a target
  await Attempt.pause({ method: 'charge' })
  // @ts-expect-error no duration
  await Attempt.pause({ until: 'soon' })
  // @ts-expect-error no duration
  await attempt.wait({ timeout: 'soon' })
  // @ts-expect-error a path that there is not
  defineTargets({ Client }, { renamed: { 'Client.bill': 'Client.chrage' } })
}) satisfies () => Promise<void>

describe('P1, A19: the compiler', () => {
  it('says in one short error where to list a target, and which methods a misspelt one could mean', async () => {
    // A folder that git ignores, inside the repository so that it finds its packages there.
    const matrix = join(REPOSITORY, 'test', '.matrix')
    mkdirSync(matrix, { recursive: true })
    const dir = mkdtempSync(join(matrix, 'compiled-'))
    try {
      const extended = {
        extends: '../../../tsconfig.json',
        compilerOptions: { paths: PATHS },
        include: ['.'],
        exclude: [],
      }
      writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify(extended))
      writeFileSync(join(dir, 'unlisted.ts'), UNLISTED)
      const { stdout } = await run(REPOSITORY, join(REPOSITORY, 'node_modules', '.bin', 'tsc'), ['-p', dir], {
        exitCodes: [1, 2],
      })
      const errors = stdout
        .trim()
        .split('\n')
        .map((line) => line.replace(/^.*: error /, ''))
      expect(errors).toEqual([
        `TS2345: Argument of type 'typeof Mailer' is not assignable to parameter of type '"This is not a target: list it in targets.ts"'.`,
        `TS2322: Type 'typeof Mailer' is not assignable to type '"This is not a target: list it in targets.ts"'.`,
        `TS2345: Argument of type 'typeof Mailer' is not assignable to parameter of type '"This is not a target: list it in targets.ts"'.`,
        `TS2345: Argument of type '"fulfil"' is not assignable to parameter of type '"fulfill"'.`,
        `TS2345: Argument of type '"fulfil"' is not assignable to parameter of type '"fulfill"'.`,
      ])
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })

  it('takes the transactions of a class that extends PrismaClient, and so does the runtime', async () => {
    await testDatabase()
    const { status } = await service.$transaction((tx) => NestAttempt.async(Client, { tx }).ping())
    expect(status).toBe('pending')
    await nest.close()
    await service.$disconnect()
  })

  it('checks targets, methods and arguments', () => {
    expectTypeOf(neverCalled).returns.resolves.toBeVoid()
  })
})

const PATHS = {
  '@async-gen/runtime': ['../../../runtime/src/index.ts'],
  '@async-gen/runtime/testing': ['../../../runtime/src/testing/index.ts'],
}

const UNLISTED = `
import { BaseAttempt, defineTargets } from '@async-gen/runtime'
import { expectAttempt, failOnce } from '@async-gen/runtime/testing'
import { db } from '../../.app/src/async/database.js'

class OrderClient {
  static async fulfill(order: { number: number }) {
    return { parcel: order.number }
  }
}
class Mailer {
  static async send(to: string) {
    return to
  }
}
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ OrderClient }) }) {}

export const recorded = Attempt.async(Mailer).send('ada@example.org')
export const created = Attempt.create({ target: Mailer, method: 'send', args: ['ada@example.org'] })
export const scheduled = Attempt.schedule(new Date(), Mailer, { priority: 3 }).send('ada@example.org')
export const expected = expectAttempt(Attempt).toHaveRecorded(OrderClient, 'fulfil')
export const restore = failOnce(OrderClient, 'fulfil', new Error('down'))
`
