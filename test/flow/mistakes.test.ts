import { BaseAttempt, defineSchedules, defineTargets, limit } from '@async-gen/runtime'
import { afterEach, describe, expect, it } from 'vitest'
import { recordOccurrences } from '../../runtime/src/attempt/schedules/record.js'
import { writeSchedules } from '../../runtime/src/attempt/schedules/write.js'
import { parseCommandLine } from '../../runtime/src/bin/usage.js'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

class Mail {
  static async send(to: string) {
    return to
  }
}
const targets = defineTargets({ Mail }, { limits: [limit(Mail, { concurrency: 2 })] })
let inCode: Parameters<typeof defineSchedules<{ Mail: typeof Mail }>>[1] = {}
class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets,
  schedules: async () => ({ schedules: defineSchedules(targets, inCode) }),
}) {}

// A user of JavaScript, or of a type that was cast.
// biome-ignore lint/suspicious/noExplicitAny: the compiler refuses all of these calls
const Any = Attempt as any
const call = { target: Mail, method: 'send', args: ['ada'] }
const daily = { ...call, cron: '0 7 * * *' }
const sent = () => Attempt.async(Mail).send('ada')

afterEach(() => query(url, 'TRUNCATE attempts, async_batches, async_schedules, async_limits'))

describe('a mistake gets an error that says what to write', () => {
  it.each<[string, () => unknown, string]>([
    [
      'create with a list',
      () => Any.create([call]),
      'Attempt.create takes one call, and got a list. Attempt.createMany records a list of calls.',
    ],
    [
      'create without a call',
      () => Any.create(),
      'Attempt.create: the call is undefined. It must be an object: { target, method, args }.',
    ],
    [
      'create with options beside the call',
      () => Any.create(call, { priority: 3 }),
      'Attempt.create has no option "priority"',
    ],
    [
      'createMany with one call',
      () => Any.createMany(call),
      'Attempt.createMany takes a list of calls. It got an object.',
    ],
    [
      'createMany with a list in the list',
      () => Any.createMany([call, [call]]),
      'Attempt.createMany: call 2 of the list is a list.',
    ],
    [
      'createMany with a transaction for its options',
      () => Any.createMany([call], prisma),
      'got a transaction in place of its options. Write { tx }.',
    ],
    [
      'createMany with null for its options',
      () => Any.createMany([call], null),
      'Attempt.createMany takes its options as an object. It got null.',
    ],
    [
      'a target by its name',
      () => Any.create({ ...call, target: 'Mail' }),
      'The target is "Mail". Pass the target itself, as targets.ts lists it. Listed: Mail.',
    ],
    ['null for a target', () => Any.create({ target: null, method: 'send' }), 'The target is null. Pass the target'],
    [
      'a target that is still being imported',
      () => Any.create({ target: Promise.resolve(Mail), method: 'send' }),
      'The target is a promise: await it. Pass the target itself',
    ],
    [
      'an object that is not listed',
      () => Any.create({ target: { name: 'Mail' }, method: 'send' }),
      'The object that you passed is not a target. List it in defineTargets (targets.ts). Listed: Mail.',
    ],
    ['no target', () => Any.create({ method: 'send' }), 'The target is undefined. Pass the target itself'],
    [
      'a batch of one call without a list',
      () => Any.batch(call),
      'Attempt.batch takes a list of calls. It got an object.',
    ],
    [
      'a batch of attempts',
      async () => Any.batch([await sent()]),
      'Attempt.batch: call 1 of the list is an attempt, which is recorded already.',
    ],
    ['a batch of promises', () => Any.batch([sent()]), 'Attempt.batch: call 1 of the list is a promise: await it.'],
    [
      'a function for `then`',
      () => Any.batch([], { then: () => {} }),
      'Attempt.batch: then is a function. It must be an object: { target, method, args }.',
    ],
    ['a name for `then`', () => Any.batch([], { then: 'Mail.send' }), 'Attempt.batch: then is "Mail.send".'],
    [
      'one attempt for `after`',
      async () => Any.async(Mail, { after: await sent() }).send('x'),
      'after is an object. It must be a list of attempts, or of their ids: after: [attempt].',
    ],
    [
      'a promise in `after`',
      () => Any.async(Mail, { after: [sent()] }).send('x'),
      'after of a call of Attempt: a promise: await it is not an id.',
    ],
    [
      'setLimit without numbers',
      () => Any.setLimit(Mail, { key: 'x' }),
      'setLimit: give at least one of concurrency and rate.',
    ],
    [
      'setLimit without options',
      () => Any.setLimit(Mail),
      'setLimit takes its options as an object. It got undefined.',
    ],
    [
      'one limit without a list',
      () => defineTargets({ Mail }, { limits: limit(Mail, { concurrency: 1 }) as never }).limits,
      'they are an object. Write a list: [limit(…)]',
    ],
    [
      'a schedule without a name',
      () => Any.setSchedule(daily),
      'The name of a schedule is an object. It must be a text',
    ],
    [
      'a schedule of a name',
      () => Any.setSchedule('x', { ...daily, target: 'Mail' }),
      'target is "Mail". It must be the target itself, as targets.ts lists it.',
    ],
    [
      'a schedule of an unknown method',
      () => Any.setSchedule('x', { ...daily, method: 'sent' }),
      'The schedule "x": The target Mail has no method "sent". It has: send.',
    ],
    [
      'a cron of four fields',
      () => Any.setSchedule('x', { ...daily, cron: '0 7 * *' }),
      'cron is "0 7 * *", which is not valid: it has 4 fields. Write minute, hour,',
    ],
    ['an empty cron', () => Any.setSchedule('x', { ...daily, cron: ' ' }), 'which is not valid: it has 0 fields.'],
    ['a cron in words', () => Any.setSchedule('x', { ...daily, cron: 'daily' }), 'which is not valid: it has 1 field.'],
    [
      'setSchedule with a transaction for its options',
      () => Any.setSchedule('x', daily, prisma),
      'Attempt.setSchedule got a transaction in place of its options.',
    ],
  ])('%s', async (_, make, message) => {
    const error = await (async () => make())().catch((thrown: Error) => thrown)
    expect(error).toMatchObject({ message: expect.stringContaining(message), code: expect.any(String) })
  })

  it('removing a schedule of schedule.ts', async () => {
    inCode = { nightly: daily as never }
    await writeSchedules(db)
    await expect(Attempt.removeSchedule('nightly')).rejects.toThrow(
      'The schedule "nightly": it stands in schedule.ts. Remove it there',
    )
    expect(await Attempt.removeSchedule('unknown')).toBe(false)
  })

  it('a row of async_schedules with an unknown target, in its error', async () => {
    await query(
      url,
      `INSERT INTO async_schedules (model, name, target, method, args, cron, recorded_until)
       VALUES ('Attempt', 'by hand', 'Male', 'send', '[]', '* * * * *', now() - interval '2 minutes')`,
    )
    const { problems } = await recordOccurrences(db)
    expect(problems.map(({ message }) => message)).toEqual([
      'The schedule "by hand": No target is called "Male". Listed: Mail.',
    ])
  })

  it.each([
    ['limits', 'Did you mean attempts limits?'],
    ['pause', 'Did you mean attempts pause?'],
    ['schedules', 'Did you mean schedule?'],
  ])('`async-gen-worker %s`: %s', (word, message) => {
    expect(() => parseCommandLine([word], '')).toThrow(message)
  })
})

describe('a batch', () => {
  it('is shown whole by console.log and JSON.stringify', async () => {
    const batch = await Attempt.batch([call as never])
    expect(JSON.parse(JSON.stringify({ batch }))).toEqual({
      batch: {
        id: String(batch.id),
        model: 'Attempt',
        thenId: null,
        createdAt: batch.createdAt!.toISOString(),
        cancelledAt: null,
        finishedAt: null,
      },
    })
    expect((await import('node:util')).inspect(batch)).toContain(`Batch {\n  id: '${batch.id}'`)
  })
})

describe('a limit', () => {
  it('says what setLimit has changed, also for a key without calls', async () => {
    const { describeLimit } = await import('../../runtime/src/attempt/limits/describe.js')
    await Attempt.setLimit(Mail, { key: 'acme', rate: { limit: 40, per: '2 hours' } })
    await Attempt.setLimit(Mail, { concurrency: 5 })
    const [status] = await Attempt.limits()
    expect(describeLimit('Attempt', status!)).toBe(
      'Mail (Attempt), 5 at a time (changed by setLimit): 0 running, 0 waiting. Changed: acme (5 at a time, 40 in 2 hours).',
    )
  })
  it('of a method counts before that of its target, and a function may list the limits of a function of targets', async () => {
    class Shop {
      static async pull() {}
      static async push(_shop: string) {}
    }
    let asked = 0
    const lazy = defineTargets(() => ({ Shop, Mail }), {
      limits: () => {
        asked++
        const options = { method: 'push', key: (shop: string) => shop, concurrency: 1 } as const
        return [limit(Shop, { concurrency: 2 }), limit(Shop, options)]
      },
      renamed: { 'Shop.send': 'Shop.push' },
    })
    class Limited extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: lazy }) {}
    expect(asked).toBe(0)
    const attempts = [
      await Limited.async(Shop).push('acme'),
      await Limited.async(Shop).pull(),
      await Limited.async(Mail).send('ada'),
    ]
    expect(attempts.map(({ limitKey }) => limitKey)).toEqual(['Shop.push:acme', 'Shop:', null])
    expect(asked).toBe(1)
  })
})
