import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { deserialize, serialize } from '../../runtime/src/core/serialize.js'

const throughJsonb = (value: unknown) => deserialize(JSON.parse(serialize(value)))

describe('serialize', () => {
  it.each([
    ['null', null],
    ['undefined', undefined],
    ['a date', new Date('2026-01-05T09:00:00.123Z')],
    ['a bigint', 2n ** 70n],
    ['a map', new Map([['a', new Date(0)]])],
    ['a set', new Set([1n, 2n])],
    ['NaN', Number.NaN],
    ['minus zero', -0],
    ['an infinity', Number.NEGATIVE_INFINITY],
    ['bytes', new Uint8Array([0, 255])],
    ['a URL', new URL('https://example.org/?q=1')],
    ['a text that jsonb rejects', 'a\0b \ud800'],
    ['a nesting of these', { at: [new Date(0), { big: 1n, gone: undefined }] }],
    ['what looks like an envelope', { json: 1, meta: 2 }],
  ])('gives back %s as it was', (_, value) => {
    expect(throughJsonb(value)).toEqual(value)
  })

  it('leaves plain JSON as it is, so that SQL can query it', () => {
    expect(serialize({ a: [1, 'two', null, { b: true }] })).toBe('{"a":[1,"two",null,{"b":true}]}')
  })

  it.each([
    ['a function', { callback: () => {} }, 'args[0].callback is a function'],
    ['a symbol', { kind: Symbol('x') }, 'args[0].kind is a symbol'],
    ['an instance of a class', { order: new (class Order {})() }, 'args[0].order is an instance of Order'],
    ['an invalid date', new Date('soon'), 'invalid Date'],
  ])('rejects %s, with its path in the message', (_, value, message) => {
    expect(() => serialize([value], 'args')).toThrow(message)
  })

  it('takes plain JSON of another realm, as Jest has it, and rejects types in it', () => {
    expect(serialize({ order: runInNewContext('({ number: 7 })') })).toBe('{"order":{"number":7}}')
    expect(() => serialize([runInNewContext('({ big: 7n })')], 'args')).toThrow('args[0] is an instance of Object')
  })

  it('rejects a circular value', () => {
    const loop: Record<string, unknown> = {}
    loop.self = loop
    expect(() => serialize(loop)).toThrow('value.self contains itself')
  })
})
