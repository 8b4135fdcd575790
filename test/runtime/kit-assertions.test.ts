import { AssertionError } from 'node:assert'
import { AesGcmEncryptor, BaseAttempt, defineTargets, recordTarget } from '@async-gen/runtime'
import { attemptMatchers, expectAttempt, recorded } from '@async-gen/runtime/testing'
import { afterAll, afterEach, describe, expect, expectTypeOf, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

class OrderClient {
  static async fulfill(order: { orderNumber: number; express?: boolean; at?: Date }, carrier?: string) {
    return { parcel: `${order.orderNumber} ${carrier}` }
  }
  static async sum(numbers: number[]) {
    return numbers.length
  }
}
const Newsletter = { deliverAll: async () => {} }
const Orders = recordTarget({
  load: (id: number) => prisma.order.findUnique({ where: { id } }),
  methods: { ship: async (order, carrier: 'van' | 'bicycle') => `${order.number} ${carrier}` },
})
const targets = defineTargets({ OrderClient, Newsletter, Orders })
const encryptor = new AesGcmEncryptor({ k1: Buffer.alloc(32, 7) })
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets, encryptors: [encryptor] }) {}

expect.extend(attemptMatchers)

const inOneHour = () => new Date(Date.now() + 3_600_000)

/** The failure of an assertion. */
async function failureOf(assertion: Promise<unknown>): Promise<AssertionError> {
  const error = await assertion.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof AssertionError) return error
  throw new Error('The assertion has not failed.', { cause: error })
}

afterEach(async () => {
  await query(url, 'TRUNCATE attempts CASCADE')
})
afterAll(() => db.close())

describe('expectAttempt(Attempt).toHaveRecorded', () => {
  it('passes if the call was recorded, and returns the attempts', async () => {
    const { id } = await Attempt.async(OrderClient).fulfill({ orderNumber: 7 })
    const [attempt] = await expectAttempt(Attempt).toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: 7 }])
    expect(attempt!.id).toBe(id)
    expectTypeOf(attempt!.result).toEqualTypeOf<{ parcel: string } | undefined>()
  })

  it('compares a part of an object, a part of the arguments, matchers and functions', async () => {
    const at = new Date()
    await Attempt.async(OrderClient).fulfill({ orderNumber: 7, express: true, at }, 'van')
    const { toHaveRecorded } = expectAttempt(Attempt)
    await toHaveRecorded(OrderClient, 'fulfill')
    await toHaveRecorded(OrderClient, 'fulfill', [{ express: true }])
    await toHaveRecorded(OrderClient, 'fulfill', [{ at: new Date(at) }, 'van'])
    await toHaveRecorded(OrderClient, 'fulfill', [expect.objectContaining({ orderNumber: expect.any(Number) })])
    await toHaveRecorded(OrderClient, 'fulfill', [(order) => order.orderNumber > 6])
    await failureOf(toHaveRecorded(OrderClient, 'fulfill', [(order) => order.orderNumber > 7]))
    const wrong = toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: expect.any(String) }])
    const { message } = await failureOf(wrong)
    expect(message).toContain('Attempt has not recorded OrderClient.fulfill({ orderNumber: Any<String> }).')
    expect(message).toContain('- args[0].orderNumber: Any<String>\n+ args[0].orderNumber: 7')
    await failureOf(toHaveRecorded(OrderClient, 'fulfill', [{ at: new Date(0) }]))
  })

  it('compares an array by position and length', async () => {
    await Attempt.async(OrderClient).sum([1, 2])
    const { toHaveRecorded } = expectAttempt(Attempt)
    await toHaveRecorded(OrderClient, 'sum', [[1, 2]])
    await failureOf(toHaveRecorded(OrderClient, 'sum', [[2, 1]]))
    await failureOf(toHaveRecorded(OrderClient, 'sum', [[1]]))
  })

  it('shows as a diff what was recorded instead', async () => {
    const { id } = await Attempt.async(OrderClient).fulfill({ orderNumber: 8, express: true })
    await Attempt.async(OrderClient).fulfill({ orderNumber: 9 }, 'van')
    const failure = await failureOf(
      expectAttempt(Attempt).toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: 7, express: true }]),
    )
    expect(failure.message).toContain(
      'Attempt has not recorded OrderClient.fulfill({ express: true, orderNumber: 7 }).',
    )
    expect(failure.message).toContain(
      `+ recorded: attempt ${id}: OrderClient.fulfill({ express: true, orderNumber: 8 })`,
    )
    expect(failure.message).toContain('- args[0].orderNumber: 7\n+ args[0].orderNumber: 8')
    expect(failure.message).toMatch(
      /Also recorded:\n {2}attempt \d+: OrderClient\.fulfill\(\{ orderNumber: 9 \}, 'van'\)/,
    )
    expect(failure.expected).toEqual({ call: 'OrderClient.fulfill', args: [{ orderNumber: 7, express: true }] })
    expect(failure.actual).toEqual({ call: 'OrderClient.fulfill', args: [{ orderNumber: 8, express: true }] })
  })

  it('says that the call was recorded for another time, with another priority or another token', async () => {
    await Attempt.async(OrderClient, { scheduledAt: inOneHour(), idempotenceToken: 'a' }).fulfill({ orderNumber: 7 })
    const { toHaveRecorded } = expectAttempt(Attempt)
    await toHaveRecorded(OrderClient, 'fulfill', [], { scheduledWithin: '2 hours', priority: 10, token: 'a' })
    const options = { scheduledWithin: '1 minute', priority: 5, token: 'b', status: 'running' } as const
    const { message } = await failureOf(toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: 7 }], options))
    expect(message).toContain(
      'as expected. It was recorded, but for another time, with another priority, with another token, with another status.',
    )
    expect(message).toContain("- idempotenceToken: 'b'\n+ idempotenceToken: 'a'")
    expect(message).toContain('- scheduledAt: within 1 minute, by ')
  })

  it('compares with the call that has the expected arguments, and of several with the newest', async () => {
    const record = (orderNumber: number) => Attempt.async(OrderClient).fulfill({ orderNumber })
    await (await record(1)).perform()
    await record(7)
    const { id } = await record(7)
    await record(2)
    const expected = { status: 'succeeded' } as const
    const { message } = await failureOf(
      expectAttempt(Attempt).toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: 7 }], expected),
    )
    expect(message).toContain('as expected. It was recorded, but with another status.')
    expect(message).toContain(`+ recorded: attempt ${id}: OrderClient.fulfill({ orderNumber: 7 }), pending`)
  })

  it('compares the exact time of the call', async () => {
    const scheduledAt = inOneHour()
    await Attempt.schedule(scheduledAt, OrderClient).fulfill({ orderNumber: 7 })
    await expectAttempt(Attempt).toHaveRecorded(OrderClient, 'fulfill', [], { scheduledAt })
    await failureOf(expectAttempt(Attempt).toHaveRecorded(OrderClient, 'fulfill', [], { scheduledAt: inOneHour() }))
  })

  it('lists the other calls if there is none of the method', async () => {
    expect((await failureOf(expectAttempt(Attempt).toHaveRecorded(OrderClient, 'fulfill'))).message).toBe(
      'Attempt has not recorded OrderClient.fulfill.\n\nNo call was recorded.',
    )
    await Attempt.async(Newsletter).deliverAll()
    const { message } = await failureOf(expectAttempt(Attempt).toHaveRecorded(OrderClient, 'fulfill'))
    expect(message).toMatch(/Recorded were:\n {2}attempt \d+: Newsletter\.deliverAll\(\), pending, due at /)
  })

  it('counts the calls with the option times', async () => {
    await Attempt.async(Newsletter).deliverAll()
    await Attempt.async(Newsletter).deliverAll()
    await expectAttempt(Attempt).toHaveRecorded(Newsletter, 'deliverAll', [], { times: 2 })
    const { message } = await failureOf(
      expectAttempt(Attempt).toHaveRecorded(Newsletter, 'deliverAll', [], { times: 1 }),
    )
    expect(message).toContain('Attempt has recorded Newsletter.deliverAll() 2 times, not 1:')
  })

  it('finds calls of one record of a model', async () => {
    await Attempt.async(Orders.for({ id: 1 })).ship('van')
    const { toHaveRecorded, not } = expectAttempt(Attempt)
    await toHaveRecorded(Orders.for({ id: 1 }), 'ship', ['van'])
    await toHaveRecorded(Orders.for({ id: 1 }), 'ship')
    await not.toHaveRecorded(Orders.for({ id: 2 }), 'ship')
    await not.toHaveRecorded(Orders.for({ id: 1 }), 'ship', ['bicycle'])
    await toHaveRecorded(Orders, 'ship', [1, 'van'])
  })

  it('compares encrypted arguments in plain text', async () => {
    await Attempt.async(OrderClient, { encryptor }).fulfill({ orderNumber: 7 })
    expect(await query(url, `SELECT args::text LIKE '%7}%' AS plain FROM attempts`)).toEqual([{ plain: false }])
    await expectAttempt(Attempt).toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: 7 }])
  })

  it('finds the calls of an open transaction, encrypted ones too', async () => {
    await prisma.$transaction(async (tx) => {
      await Attempt.async(OrderClient, { tx, scheduledAt: inOneHour() }).fulfill({ orderNumber: 7 })
      await Attempt.async(OrderClient, { tx, encryptor }).fulfill({ orderNumber: 8 })
      await expectAttempt(Attempt).not.toHaveRecorded(OrderClient, 'fulfill')
      const { message } = await failureOf(expectAttempt(Attempt).toHaveRecorded(OrderClient, 'fulfill'))
      expect(message).toContain('A transaction is open here. Its calls are found only if you pass it')
      await expectAttempt(Attempt, { tx }).toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: 7 }], {
        scheduledWithin: '1 hour',
      })
      await expectAttempt(Attempt, { tx }).toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: 8 }])
      await expect(Attempt).toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: 8 }], { tx })
    })
  })

  it('reads right times in a transaction whose session has another time zone', async () => {
    const scheduledAt = inOneHour()
    await prisma.$transaction(async (tx) => {
      await tx.$executeRaw`SET LOCAL TimeZone = 'Asia/Kolkata'`
      await Attempt.schedule(scheduledAt, OrderClient, { tx }).fulfill({ orderNumber: 7 })
      await expectAttempt(Attempt, { tx }).toHaveRecorded(OrderClient, 'fulfill', [], { scheduledAt })
      expect(await tx.$queryRaw`SHOW TimeZone`).toEqual([{ TimeZone: 'Asia/Kolkata' }])
    })
  })

  it('refuses a misspelt option, which would compare nothing', async () => {
    // @ts-expect-error: the option is called priority
    const misspelt = expectAttempt(Attempt).not.toHaveRecorded(OrderClient, 'fulfill', [], { piority: 5 })
    await expect(misspelt).rejects.toMatchObject({ code: 'UNKNOWN_OPTION' })
  })

  it('refuses a target that is not listed', async () => {
    class Stranger {
      static call() {}
    }
    // @ts-expect-error: it is not listed
    await expect(expectAttempt(Attempt).toHaveRecorded(Stranger, 'call')).rejects.toMatchObject({
      code: 'UNKNOWN_TARGET',
    })
  })
})

describe('expectAttempt(Attempt).not.toHaveRecorded', () => {
  it('fails with the calls that were recorded', async () => {
    const { id } = await Attempt.async(OrderClient).fulfill({ orderNumber: 7 })
    await expectAttempt(Attempt).not.toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: 8 }])
    const { message } = await failureOf(
      expectAttempt(Attempt).not.toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: 7 }]),
    )
    expect(message).toContain('Attempt has recorded OrderClient.fulfill({ orderNumber: 7 }), which was not expected:')
    expect(message).toContain(`attempt ${id}: OrderClient.fulfill({ orderNumber: 7 }), pending, due at `)
  })
})

describe('recorded(Attempt, filter)', () => {
  it('returns the attempts that match, the oldest first', async () => {
    const first = await Attempt.async(OrderClient).fulfill({ orderNumber: 7 })
    const second = await Attempt.async(OrderClient).fulfill({ orderNumber: 8 })
    await Attempt.async(Newsletter).deliverAll()
    const ids = (attempts: { id: bigint }[]) => attempts.map(({ id }) => id)
    expect(await recorded(Attempt)).toHaveLength(3)
    const found = await recorded(Attempt, { target: OrderClient, method: 'fulfill', status: 'pending' })
    expect(ids(found)).toEqual([first.id, second.id])
    expectTypeOf(found[0]!.result).toEqualTypeOf<{ parcel: string } | undefined>()
    expect(
      ids(await recorded(Attempt, { target: OrderClient, method: 'fulfill', args: [{ orderNumber: 8 }] })),
    ).toEqual([second.id])
    expect(await recorded(Attempt, { method: 'deliverAll' })).toHaveLength(1)
    expect(await recorded(Attempt, { status: 'failed' })).toEqual([])
  })
})

describe('expect(Attempt).toHaveRecorded', () => {
  it('works as a matcher of the test runner', async () => {
    await Attempt.async(OrderClient).fulfill({ orderNumber: 7 })
    await expect(Attempt).toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: 7 }])
    await expect(Attempt).not.toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: 8 }])
    await expect(expect(Attempt).toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: 8 }])).rejects.toThrow(
      '- args[0].orderNumber: 8\n+ args[0].orderNumber: 7',
    )
    await expect(expect(Attempt).not.toHaveRecorded(OrderClient, 'fulfill')).rejects.toThrow('which was not expected')
  })
})

/** Never called: only its types matter. */
const neverCalled = async () => {
  const { toHaveRecorded } = expectAttempt(Attempt)
  // @ts-expect-error: OrderClient has no such method
  await toHaveRecorded(OrderClient, 'fulfil')
  // @ts-expect-error: the number of an order is a number
  await toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: '7' }])
  // @ts-expect-error: a call of one record has its id already
  await toHaveRecorded(Orders.for({ id: 1 }), 'ship', [1, 'van'])
  // @ts-expect-error: OrderClient has no such method
  await expect(Attempt).toHaveRecorded(OrderClient, 'fulfil')
  // @ts-expect-error: OrderClient has no such method
  await recorded(Attempt, { target: OrderClient, method: 'fulfil' })
}
void neverCalled
