import { BaseAttempt, defineTargets, recordTarget, UnknownTargetError } from '@async-gen/runtime'
import { afterEach, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

class Base {
  static inherited() {}
}
class Client extends Base {
  static charge(amount: number) {
    return `${amount} from ${Client.name}`
  }
  static #secret() {}
  static callSecret = () => Client.#secret()
  instanceMethod() {}
}
const helpers = {
  base: 'https://example.org',
  url(path: string) {
    return this.base + path
  },
  [Symbol('hidden')]: () => {},
  get trap() {
    throw new Error('a getter was run')
  },
}
const Orders = recordTarget({
  load: (id: number) => prisma.order.findUnique({ where: { id } }),
  methods: {
    fulfill: async (order, carrier: string) => `order ${order.number} by ${carrier}`,
    archive: async (order) => order.number,
  },
})
const targets = defineTargets(
  { Client, helpers, Orders, instances: Client.prototype },
  { renamed: { 'Client.bill': 'Client.charge', 'OldClient.bill': 'Client.charge' } },
)

describe('targets', () => {
  it('P1: are classes with static methods and objects of functions, each called as itself', () => {
    expect(targets.resolve('Client', 'charge')(5)).toBe('5 from Client')
    expect(targets.resolve('helpers', 'url')('/a')).toBe('https://example.org/a')
    expect(targets.nameOf(helpers)).toBe('helpers')
  })

  it.each([
    ['Client', 'constructor'],
    ['Client', '__proto__'],
    ['Client', 'prototype'],
    ['Client', 'inherited'],
    ['Client', 'instanceMethod'],
    ['Client', '#secret'],
    ['Client', 'name'],
    ['Client', 'toString'],
    ['helpers', 'constructor'],
    ['helpers', '__proto__'],
    ['helpers', 'hasOwnProperty'],
    ['helpers', 'base'],
    ['helpers', 'trap'],
    ['helpers', 'Symbol(hidden)'],
    ['instances', 'constructor'],
    ['Orders', 'load'],
    ['Orders', 'for'],
    ['Orders', 'constructor'],
    ['constructor', 'constructor'],
    ['__proto__', 'toString'],
    ['toString', 'call'],
    ['Unknown', 'charge'],
  ])('A20: %s.%s cannot be called', (target, method) => {
    expect(() => targets.resolve(target, method)).toThrow(UnknownTargetError)
  })

  it('A20: an inherited method is refused as that, when a call of it is recorded', async () => {
    class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}
    const message = 'The target Client inherits its method "inherited", and only own methods can be called. It has: '
    await expect(Attempt.async(Client).inherited()).rejects.toThrow(message)
  })

  it('A20: the error says whether a name is inherited or there is none', () => {
    class Grandchild extends class extends Client {} {}
    const bare = Object.assign(Object.create(null), { send: () => {} })
    const some = defineTargets({ Grandchild, Client, helpers, bare, empty: {} })
    const refusals = [
      ['Grandchild', 'charge', 'inherits its method "charge", and only own methods can be called. It has: none.'],
      // What every class and every object has is no method that somebody meant.
      ['Client', 'bind', 'has no method "bind". It has: charge, callSecret.'],
      ['helpers', 'hasOwnProperty', 'has no method "hasOwnProperty". It has: url.'],
      ['bare', 'toString', 'has no method "toString". It has: send.'],
      ['empty', 'send', 'has no method "send". It has: none.'],
    ] as const
    for (const [target, method, why] of refusals)
      expect(() => some.resolve(target, method)).toThrow(`The target ${target} ${why}`)
  })

  it('A20: an unknown one is answered with what there is', () => {
    expect(() => targets.resolve('Cleint', 'charge')).toThrow(
      'No target is called "Cleint". Listed: Client, helpers, Orders, instances.',
    )
    expect(() => targets.resolve('Orders', 'fulfil')).toThrow('It has: fulfill, archive.')
    expect(() => defineTargets({}).resolve('Client', 'charge')).toThrow('Listed: none yet.')
  })

  it('A20: a renamed method is found under its old path, so that rows in flight survive', () => {
    expect(targets.resolve('Client', 'bill')(7)).toBe('7 from Client')
    expect(targets.resolve('OldClient', 'bill')(7)).toBe('7 from Client')
    const define = () => defineTargets({ Client }, { renamed: { 'Client.old': 'Client.gone' as never } })
    expect(define).toThrow('The target Client has no method "gone"')
  })

  it('A20: may be listed by a function, which is asked when the first one is needed', () => {
    let asked = 0
    const lazy = defineTargets(() => ({ Client, asked: [asked++] }))
    expect(asked).toBe(0)
    expect(lazy.nameOf(Client)).toBe('Client')
    lazy.resolve('Client', 'charge')
    expect(asked).toBe(1)
  })

  it('A20: what is no target is refused when it is listed', () => {
    expect(() => defineTargets({ price: 7 as never })).toThrow('The target price is a number')
    expect(() => defineTargets({ nothing: null as never })).toThrow('The target nothing is null')
  })
})

describe('a function that imports the targets', () => {
  const attemptsOf = (load: () => Promise<{ targets: typeof targets }>) =>
    class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: load }) {}
  afterEach(() => query(url, 'TRUNCATE attempts CASCADE'))

  it('A20: is called once, when the first call is recorded or runs', async () => {
    let imports = 0
    const Attempt = attemptsOf(async () => {
      imports++
      return { targets }
    })
    expect(imports).toBe(0)
    const [attempt] = await Promise.all([Attempt.async(Client).charge(5), Attempt.async(Client).charge(6)])
    await attempt.perform()
    expect(attempt.result).toBe('5 from Client')
    expect(imports).toBe(1)
  })

  it('A20: is called again after an import that failed', async () => {
    let imports = 0
    const Attempt = attemptsOf(async () => {
      if (++imports === 1) throw new Error('the disk is full')
      return { targets }
    })
    await expect(Attempt.async(Client).charge(5)).rejects.toThrow('the disk is full')
    expect((await Attempt.async(Client).charge(5)).args).toEqual([5])
  })

  it('A20: gets an error that says what to export if the module has no targets', async () => {
    const Attempt = attemptsOf(async () => ({}) as never)
    await expect(Attempt.async(Client).charge(5)).rejects.toMatchObject({
      code: 'INVALID_TARGETS',
      message: expect.stringContaining('Export the list there: export const targets = defineTargets('),
    })
  })
})

describe('the records of a model', () => {
  class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}
  const makeOrder = (number: number) => prisma.order.create({ data: { number, customerToken: 'tok' } })
  afterEach(() => query(url, 'TRUNCATE attempts, "Order" CASCADE'))

  it('P1, P11: are called through their id, and read again when the call is made', async () => {
    const order = await makeOrder(1)
    const attempt = await Attempt.async(Orders.for(order)).fulfill('bicycle')
    expect(attempt.args).toEqual([order.id, 'bicycle'])
    await prisma.order.update({ where: { id: order.id }, data: { number: 2 } })

    await attempt.perform()
    expect(attempt.result).toBe('order 2 by bicycle')
  })

  it('P11: are refused without an id', () => {
    expect(() => Orders.for({} as never)).toThrow('Record must be persisted')
  })

  it('P12: that are gone fail the attempt, and it says which', async () => {
    const order = await makeOrder(1)
    const attempt = await Attempt.async(Orders.for(order)).archive()
    await prisma.order.delete({ where: { id: order.id } })

    await attempt.perform()
    expect(attempt).toMatchObject({ status: 'failed', numAttempts: 1 })
    expect(attempt.errors).toMatchObject([
      { message: `Orders ${order.id} is gone: it was deleted after the call was recorded.` },
    ])
  })

  it('A20: a row that names what is not listed is tried again later, since another release may know it', async () => {
    const { id } = await prisma.attempt.create({ data: { target: 'Client', method: 'constructor' } })
    expect(await Attempt.perform(id)).toMatchObject({
      status: 'pending',
      errors: [{ name: 'UnknownTargetError', message: expect.stringContaining('It has: charge, callSecret.') }],
    })
  })
})
