// What must not compile. `npm run check` compiles this file: an error that no longer occurs is one itself.
import { BaseAttempt, defineTargets, recordTarget } from '@async-gen/runtime'
import { describe, expectTypeOf, it } from 'vitest'

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
  expectTypeOf(await attempt.reload()).toExtend<Attempt>()
  expectTypeOf(await Attempt.find(1n)).toEqualTypeOf<Attempt | null>()
  expectTypeOf(Attempt.async(Orders.for({ id: 1 })).ship).parameters.toEqualTypeOf<[carrier: 'van' | 'bicycle']>()
  expectTypeOf((await Attempt.current().tx()).order.create).toBeFunction()
  expectTypeOf(Attempt.current().attempt).toEqualTypeOf<Attempt>()

  await Attempt.create({ target: Client, method: 'ping' })
  await Attempt.create({ target: Orders, method: 'ship', args: [1, 'van'], priority: 3 })

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
  // @ts-expect-error a path that there is not
  defineTargets({ Client }, { renamed: { 'Client.bill': 'Client.chrage' } })
}) satisfies () => Promise<void>

describe('P1, A19: the compiler', () => {
  it('checks targets, methods and arguments', () => {
    expectTypeOf(neverCalled).returns.resolves.toBeVoid()
  })
})
