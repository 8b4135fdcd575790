// An id is a bigint in the runtime, text in JSON and in URLs, and a number in code that is written by hand.
import { defineToast, hasToast } from '@async-gen/runtime'
import { refreshNow } from '@async-gen/runtime/testing'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { attemptTask } from '../../runtime/src/attempt/tasks.js'
import { testDatabase } from '../support/database.js'

await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')
const { Attempt } = await import('../.app/src/async/attempt.js')
const { attemptFactory } = await import('../.app/src/async/attempt.factory.js')

afterAll(() => db.close())

describe('Attempt.find', () => {
  it('takes the id that toJSON gives, a bigint and a number', async () => {
    const { id } = await attemptFactory.succeeded()
    const { id: text } = JSON.parse(JSON.stringify(await Attempt.find(id)))
    for (const given of [id, Number(id), text]) expect((await Attempt.find(given))?.id).toBe(id)
  })

  it.each(['-9223372036854775808', '-1', '9223372036854775807'])(
    'takes %s, which a column of type bigint may hold',
    async (id) => {
      await attemptFactory.succeeded({ id: BigInt(id) })
      expect((await Attempt.find(id))?.id).toBe(BigInt(id))
    },
  )

  it('finds nothing under an id that no row has', async () => {
    expect(await Attempt.find('0')).toBeNull()
    expect(await Attempt.find('-2')).toBeNull()
  })

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    ['', '""'],
    ['12a', '"12a"'],
    ['0x1f', '"0x1f"'],
    [1.5, '1.5'],
    [Number.NaN, 'NaN'],
    [2 ** 53, '9007199254740992'],
    ['99999999999999999999', '"99999999999999999999"'],
    ['-9223372036854775809', '"-9223372036854775809"'],
    ['9223372036854775808', '"9223372036854775808"'],
    [{ id: 1 }, 'an object'],
  ])('refuses %s and says what an id is', async (id, shown) => {
    await expect(Attempt.find(id as never)).rejects.toMatchObject({
      code: 'INVALID_ID',
      message: `Attempt.find: ${shown} is not an id. An id is a bigint, a whole number up to 9007199254740991, or its digits as text: "12".`,
    })
    await expect(Attempt.perform(id as never)).rejects.toMatchObject({ code: 'INVALID_ID' })
  })
})

describe('the task of attempts', () => {
  const helpers = { logger: { debug() {} }, job: { task_identifier: 'attempt' } } as never

  it('takes an id as SQL writes it into a job, as text or as a number', async () => {
    const { id } = await attemptFactory.failed()
    for (const given of [String(id), Number(id)]) await attemptTask(Attempt)({ id: given }, helpers)
  })

  it('says which job has no id', async () => {
    for (const payload of [{}, null, { id: 'x' }])
      await expect(attemptTask(Attempt)(payload, helpers)).rejects.toMatchObject({
        code: 'INVALID_ID',
        message: expect.stringContaining('A job of the task attempt: '),
      })
  })
})

describe('a toast', () => {
  it('takes a record whose key is text, as JSON and URLs have it', async () => {
    const order = await prisma.order.create({ data: { number: Date.now() % 1e9 } })
    onTestFinished(async () => void (await prisma.order.delete({ where: { id: order.id } })))
    const label = hasToast(db, 'order', `label-${Date.now()}`, {
      compute: async ({ number }) => ({ number }),
      expireIn: '1 day',
    })
    const fromJson = { ...order, id: String(order.id) } as never
    expect(label.keyOf(fromJson)).toBe(label.keyOf(order))
    await label(fromJson)
    await refreshNow(db, label, order)
    expect(await label(fromJson)).toMatchObject({ number: order.number })
    expect(() => label.keyOf({ ...order, id: 'twelve' } as never)).toThrow('"twelve" is not an id')
  })

  it('refuses a number that JavaScript has rounded', () => {
    const toast = defineToast(db, 'ids.toast', { load: async () => null, compute: async () => 1 })
    for (const id of [2 ** 53, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => toast.keyOf({ id } as never)).toThrow('JavaScript has rounded')
    expect(toast.keyOf({ id: 2n ** 53n } as never)).toBe('9007199254740992')
  })
})
