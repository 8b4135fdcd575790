import { describe, expect, it } from 'vitest'
import { deserialize, serialize } from '../../runtime/src/core/serialize.js'
import { prisma } from '../.app/src/db.js'
import { Prisma } from '../.app/src/generated/prisma/client.js'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()

/** Out to a jsonb column, and back. */
async function stored(value: unknown) {
  const [row] = await query(url, 'SELECT $1::jsonb AS value', [serialize(value)])
  return deserialize(row!.value)
}

describe('C6: a value is restored from jsonb with its types', () => {
  const shared = { id: 1 }
  it.each<[string, unknown]>([
    ['a string', 'oat'],
    ['null', null],
    ['undefined', undefined],
    ['a negative zero', -0],
    ['NaN', Number.NaN],
    ['an infinity', Number.NEGATIVE_INFINITY],
    ['a bigint', 2n ** 64n],
    ['a Date with its milliseconds', new Date('2026-11-21T22:13:13.007Z')],
    [
      'a Map with keys of any kind',
      new Map<unknown, unknown>([
        [1, 'number'],
        ['1', { at: new Date(0) }],
      ]),
    ],
    ['a Set', new Set([1, '1', 2n])],
    ['bytes', Uint8Array.from([0, 127, 255])],
    ['a URL', new URL('https://example.org/oats?page=2')],
    ['a RegExp', /o(a)t/giu],
    ['a property that is undefined', { gone: undefined, here: 1 }],
    ['a list with undefined in it', [1, undefined, 3]],
    ['text with U+0000 in it', { text: 'a\0b' }],
    ['half a surrogate pair', '\ud83c'],
    ['an object that looks like our own envelope', { json: 1, meta: { values: {} } }],
    ['the same object twice', [shared, shared]],
    ['all of it, nested', { list: [new Map([['set', new Set([{ at: new Date(1), big: 1n }])]])] }],
  ])('%s', async (_, value) => {
    expect(await stored(value)).toEqual(value)
  })

  it("a Prisma.Decimal, as the PrismaClient's own class", async () => {
    const [row] = await prisma.$queryRaw<{ price: unknown }[]>`SELECT 12345678901234567890.12345::numeric AS price`
    const { price } = (await stored({ price: row!.price })) as { price: unknown }

    expect(price).toBeInstanceOf(Prisma.Decimal)
    expect(price).toStrictEqual(row!.price)
  })

  it('a number of another copy of decimal.js, as a Prisma.Decimal', async () => {
    const OtherDecimal = Prisma.Decimal.clone()
    expect(await stored(new OtherDecimal('1.50'))).toStrictEqual(new Prisma.Decimal('1.5'))
    expect(await stored(new OtherDecimal('NaN'))).toStrictEqual(new Prisma.Decimal('NaN'))
  })

  it('an Error, with its name and message', async () => {
    expect(await stored(new TypeError('no oats'))).toMatchObject({ name: 'TypeError', message: 'no oats' })
  })
})

it('plain JSON is stored as it is, so that SQL can query it', async () => {
  const json = serialize({ oat: { servings: [1, 2, { kind: 'meal' }] } })
  const [row] = await query(url, `SELECT $1::jsonb #>> '{oat,servings,2,kind}' AS kind`, [json])
  expect(row).toEqual({ kind: 'meal' })
})

describe('C6: a value that could not be restored is rejected, and the error has its path', () => {
  class Oat {}
  const ring: { self?: unknown } = {}
  ring.self = ring
  it.each<[string, unknown, string]>([
    ['a function', [() => 1], 'value[0] is a function'],
    ['a symbol', { mark: Symbol('x') }, 'value.mark is a symbol'],
    ['an instance of a class', { oats: [new Oat()] }, 'value.oats[0] is an instance of Oat'],
    ['a hole in a list', { list: new Array(2) }, 'value.list[0] is a hole'],
    ['an invalid Date', { at: new Date(Number.NaN) }, 'value.at is an invalid Date'],
    ['a ring', ring, 'value.self contains itself'],
    ['a function in a Map', new Map([['f', () => 1]]), 'value.get(f) is a function'],
    ['a key with U+0000', { 'a\0': 1 }, 'value has a key that PostgreSQL cannot store'],
  ])('%s', (_, value, message) => {
    expect(() => serialize(value)).toThrow(message)
    expect(() => serialize(value)).toThrow(expect.objectContaining({ code: 'UNSERIALIZABLE' }))
  })
})

it('the error for a value above the limit has its size, the limit and what to do', () => {
  expect(() => serialize('x'.repeat(9 * 2 ** 20), 'result of oat.breakfast: value')).toThrow(
    expect.objectContaining({
      code: 'PAYLOAD_TOO_LARGE',
      message:
        'result of oat.breakfast: value takes 9.0 MB of JSON. The limit is 8.0 MB. ' +
        'Make the value smaller, or store it elsewhere and keep a reference to it.',
    }),
  )
  expect(serialize('é'.repeat(4), 'value', 10)).toBe('"éééé"')
  expect(() => serialize('é'.repeat(5), 'value', 10)).toThrow('12 bytes')
})
