import { BaseAttempt, defineTargets, InvalidArgumentsError, recordTarget } from '@async-gen/runtime'
import { type } from 'arktype'
import * as v from 'valibot'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

let received: unknown[] = []
const note = async (...args: unknown[]) => {
  received = args
}

const Shop = {
  zod: async (order: { number: number }, note_?: string) => note(order, note_),
  valibot: async (order: { number: number }) => note(order),
  arktype: async (order: { number: number }) => note(order),
  dates: async (at: Date, count: number) => note(at, count),
  slow: async (name: string) => note(name),
  broken: async (name: string) => note(name),
  renamed: async (name: string) => note(name),
  rest: async (...names: string[]) => note(...names),
}
const Orders = recordTarget({
  load: async (id: number) => ({ id }),
  methods: { ship: async (order, carrier: string) => note(order.id, carrier) },
})

class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets(
    { Shop, Orders },
    {
      renamed: { 'Shop.old': 'Shop.renamed' },
      schemas: {
        'Shop.zod': [z.object({ number: z.number().int() }), z.string().max(3).optional()],
        'Shop.valibot': [v.object({ number: v.number() })],
        'Shop.arktype': [type({ number: 'number' })],
        'Shop.dates': [z.coerce.date(), z.number().default(1)],
        'Shop.slow': [z.string().refine(async (name) => name !== 'taken', 'is taken')],
        'Shop.broken': [
          z.string().refine(() => {
            throw new Error('the schema has a fault')
          }),
        ],
        'Shop.renamed': [z.string()],
        'Shop.rest': [z.string()],
        'Orders.ship': [z.number(), z.enum(['bicycle', 'train'])],
      },
    },
  ),
}) {}

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
/** Records a call as SQL does: nothing checks it. */
async function insert(target: string, method: string, args: unknown) {
  const [row] = await rows('INSERT INTO attempts (target, method, args) VALUES ($1, $2, $3) RETURNING id', [
    target,
    method,
    JSON.stringify(args),
  ])
  return (await Attempt.find(row!.id))!
}

afterEach(async () => {
  received = []
  await rows('TRUNCATE attempts, graphile_worker._private_jobs CASCADE')
})
afterAll(() => db.close())

describe('schemas of arguments', () => {
  it.each(['zod', 'valibot', 'arktype'] as const)('of %s: a valid call is recorded and runs', async (method) => {
    await (await Attempt.async(Shop)[method]({ number: 7 })).perform()
    expect(received[0]).toEqual({ number: 7 })
  })

  it.each(['zod', 'valibot', 'arktype'] as const)('of %s: an invalid call is not recorded', async (method) => {
    const recording = Attempt.async(Shop)[method]({ number: 'seven' } as never)
    await expect(recording).rejects.toThrow(InvalidArgumentsError)
    await expect(recording).rejects.toThrow(/^The arguments of Shop\.\w+ are invalid: args\[0\]\.number: /)
    expect(await Attempt.count()).toBe(0)
  })

  it('refuse a batch whose calls are not all valid, and a call in a transaction, which can go on', async () => {
    const calls = [{ number: 1 }, { number: 1.5 }].map((order) => ({
      target: Shop,
      method: 'zod' as const,
      args: [order] as [typeof order],
    }))
    await expect(Attempt.createMany(calls)).rejects.toMatchObject({ code: 'INVALID_ARGUMENTS' })
    await db.prisma.$transaction(async (tx) => {
      await expect(Attempt.async(Shop, { tx }).zod({ number: 1.5 })).rejects.toThrow('args[0].number')
      await Attempt.async(Shop, { tx }).zod({ number: 1 })
    })
    expect(await Attempt.count()).toBe(1)
  })

  it('fail a row that SQL has inserted, without further runs, and say why', async () => {
    const attempt = await insert('Shop', 'zod', [{ number: 'seven' }, 'long text'])
    await attempt.perform()
    expect(received).toEqual([])
    expect(attempt).toMatchObject({ status: 'failed', numAttempts: 1 })
    expect(attempt.errors[0]).toMatchObject({ name: 'InvalidArgumentsError', code: 'INVALID_ARGUMENTS' })
    expect(await Attempt.count({ error: 'INVALID_ARGUMENTS' })).toBe(1)
    expect(attempt.errors[0]?.message).toMatch(
      /^The arguments of Shop\.zod are invalid: args\[0\]\.number: .+; args\[1\]: .+$/,
    )
  })

  it('give the method what they return: coerced values and defaults', async () => {
    await (await insert('Shop', 'dates', ['2026-11-26T08:00:00Z'])).perform()
    expect(received).toEqual([new Date('2026-11-26T08:00:00Z'), 1])
  })

  it('leave optional arguments out that were left out', async () => {
    await (await insert('Shop', 'zod', [{ number: 7 }])).perform()
    expect(received).toEqual([{ number: 7 }, undefined])
    await (await insert('Shop', 'rest', ['a', 'b', 'c'])).perform()
    expect(received).toEqual(['a', 'b', 'c'])
  })

  it('may be asynchronous', async () => {
    await expect(Attempt.async(Shop).slow('taken')).rejects.toThrow('args[0]: is taken')
    await (await Attempt.async(Shop).slow('free')).perform()
    expect(received).toEqual(['free'])
  })

  it('that throw count as a failed run, which is retried', async () => {
    const attempt = await insert('Shop', 'broken', ['x'])
    await attempt.perform()
    expect(attempt).toMatchObject({ status: 'pending', errors: [{ message: 'the schema has a fault' }] })
  })

  it('of a record target check the id first', async () => {
    await (await Attempt.async(Orders.for({ id: 7 })).ship('train')).perform()
    expect(received).toEqual([7, 'train'])
    await expect(Attempt.async(Orders.for({ id: 7 })).ship('rocket')).rejects.toThrow('args[1]')
  })

  it('hold for rows with an old name of the method', async () => {
    const attempt = await insert('Shop', 'old', [7])
    await attempt.perform()
    expect(attempt.errors[0]?.message).toContain('The arguments of Shop.renamed are invalid: args[0]: ')
  })

  it('are refused under a name without a method, and in a misspelt option', () => {
    expect(() => defineTargets({ Shop }, { schemas: { Shop: [] } as never })).toThrow(
      '"Shop" names a target without a method. Write both',
    )
    expect(() => defineTargets({ Shop }, { schema: {} } as never)).toThrow('defineTargets has no option "schema"')
  })

  it('are refused for a method that does not exist', () => {
    expect(() => defineTargets({ Shop }, { schemas: { 'Shop.gone': [] } as never })).toThrow('no method "gone"')
  })

  it.each([z.string(), [{}], [null], 'string'])('are refused if they are no list of schemas: %#', async (schemas) => {
    const options = { schemas: { 'Shop.slow': schemas } } as never
    const message = 'schemas["Shop.slow"] must be a list of schemas'
    expect(() => defineTargets({ Shop }, options)).toThrow(message)
    class Lazy extends BaseAttempt(db, {
      model: 'Attempt',
      table: 'attempts',
      targets: defineTargets(() => ({ Shop }), options),
    }) {}
    await expect(Lazy.async(Shop).slow('Ada')).rejects.toThrow(message)
  })

  it('that return an empty list of issues do not accept the argument', async () => {
    const schema = { '~standard': { version: 1, vendor: 'test', validate: () => ({ issues: [] }) } } as const
    class Empty extends BaseAttempt(db, {
      model: 'Attempt',
      table: 'attempts',
      targets: defineTargets({ Shop }, { schemas: { 'Shop.slow': [schema] } }),
    }) {}
    await expect(Empty.async(Shop).slow('Ada')).rejects.toThrow('args[0]: not valid')
  })

  it('have to fit the parameters of the method, for the compiler', () => {
    // @ts-expect-error a text is no number
    defineTargets({ Shop }, { schemas: { 'Shop.slow': [z.number()] } })
    // @ts-expect-error the method has one parameter
    defineTargets({ Shop }, { schemas: { 'Shop.slow': [z.string(), z.string()] } })
  })
})
