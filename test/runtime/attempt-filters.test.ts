import { AsyncGenError, BaseAttempt, connect, defineTargets, PermanentError } from '@async-gen/runtime'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { prisma } = await import('../.app/src/db.js')

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
await rows(`ALTER TABLE attempts ADD COLUMN account_id int, ADD COLUMN note text, ADD COLUMN paid_at timestamptz`)

/** The client, with the fields that the host has added to its model of attempts. */
const client = Object.create(prisma, {
  _runtimeDataModel: {
    value: {
      models: {
        Attempt: {
          fields: [
            { name: 'id', kind: 'scalar', type: 'BigInt' },
            { name: 'accountId', dbName: 'account_id', kind: 'scalar', type: 'Int' },
            { name: 'note', kind: 'scalar', type: 'String' },
            { name: 'paidAt', dbName: 'paid_at', kind: 'scalar', type: 'DateTime' },
          ],
        },
      },
    },
  },
})
const db = connect(client, { connectionString: url })

class Mail {
  static async send() {}
  static async fail() {}
}
const Shop = {
  ship: async () => {},
  async fail(message: string) {
    throw Object.assign(new PermanentError(message), { code: 'ESHOP' })
  },
  parent: async () => void (await Attempt.async(Mail).send()),
}
const subclasses: Record<string, object> = {}
const targets = defineTargets(() => ({ Mail, Shop }), { subclasses })
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}
class UrgentAttempt extends Attempt {}
class VeryUrgentAttempt extends UrgentAttempt {}
Object.assign(subclasses, { UrgentAttempt, VeryUrgentAttempt })

/** The attempts that all tests look for, by name. */
const made: Record<string, Attempt> = {}
const paidAt = new Date('2026-01-02T03:04:05.678Z')

beforeAll(async () => {
  const due = { scheduledAt: new Date(Date.now() - 1000) }
  made.mail = await Attempt.async(Mail, { ...due, idempotenceToken: 'one' }).send()
  made.shop = await Attempt.async(Shop, { ...due, idempotenceToken: 'one' }).ship()
  made.failed = await Attempt.async(Shop).fail('Connection to 10% of "hosts" was lost_')
  made.parent = await Attempt.async(Shop).parent()
  made.urgent = await UrgentAttempt.async(Mail).send()
  made.veryUrgent = await VeryUrgentAttempt.async(Mail).send()
  made.mine = await Attempt.async(Mail, { data: { accountId: 7, note: 'a "note"', paidAt } as never }).send()
  made.cancelled = await Attempt.async(Mail).send()
  made.expired = await Attempt.async(Mail).fail()
  await made.failed.perform()
  await made.parent.perform()
  await made.urgent.perform()
  await made.cancelled.cancel()
  await made.expired.expire()
  await rows(
    `UPDATE attempts SET created_at = now() - interval '2 days', completed_at = now() - interval '1 day' WHERE id = $1`,
    [made.urgent.id],
  )
  made.child = (await made.parent.children())[0]!
})

describe('a filter finds attempts', () => {
  it.each<[string, object, string[]]>([
    [
      'by nothing: all of them',
      {},
      ['child', 'expired', 'cancelled', 'mine', 'veryUrgent', 'urgent', 'parent', 'failed', 'shop', 'mail'],
    ],
    ['by one status', { status: 'failed' }, ['failed']],
    [
      'by several statuses',
      { status: ['failed', 'cancelled', 'expired', 'failed'] },
      ['expired', 'cancelled', 'failed'],
    ],
    ['by a target', { target: Shop }, ['parent', 'failed', 'shop']],
    ['by a target that is a class', { target: Mail, status: 'cancelled' }, ['cancelled']],
    ['by the name of a target', { target: 'Shop' }, ['parent', 'failed', 'shop']],
    ['by the name of a target that is not listed', { target: 'Gone' }, []],
    ['by a method of all targets', { method: 'fail' }, ['expired', 'failed']],
    ['by target and method', { target: Shop, method: 'fail' }, ['failed']],
    ['by method and status', { method: 'send', status: ['cancelled', 'succeeded'] }, ['cancelled', 'urgent']],
    ['by a token of all targets', { idempotenceToken: 'one' }, ['shop', 'mail']],
    ['by token and target', { idempotenceToken: 'one', target: Shop }, ['shop']],
    ['by token and method', { idempotenceToken: 'one', method: 'send' }, ['mail']],
    ['by token, target and method', { idempotenceToken: 'one', target: Shop, method: 'ship' }, ['shop']],
    ['by token and status', { idempotenceToken: 'one', status: 'failed' }, []],
    ['by the message of its error, in any case', { error: 'CONNECTION TO' }, ['failed']],
    ['by the name of its error', { error: 'permanenterror' }, ['failed']],
    ['by the code of its error', { error: 'eshop' }, ['failed']],
    ['by a text with signs that LIKE knows', { error: '10% of "hosts" was lost_' }, ['failed']],
    ['not by a pattern', { error: 'Connection%lost' }, []],
    ['by a text in its arguments, in any case', { argument: '10% OF' }, ['failed']],
    ['by a text in its arguments and a status', { argument: 'hosts', status: 'pending' }, []],
    ['by error and method', { error: 'lost', method: 'fail' }, ['failed']],
    ['by the time of its recording, a duration', { createdAfter: '1 day', status: 'succeeded' }, ['parent']],
    ['by the time of its recording, a Date', { createdBefore: new Date(Date.now() - 86_400_000) }, ['urgent']],
    ['by the time of its end', { endedAfter: '1 hour' }, ['expired', 'cancelled', 'parent', 'failed']],
    ['by a range of its end', { endedAfter: '2 days', endedBefore: '1 hour' }, ['urgent']],
    ['by a Date and a duration', { createdAfter: new Date(0), endedBefore: '1 hour' }, ['urgent']],
    ['by number in an own column', { data: { accountId: 7 } }, ['mine']],
    ['by text in an own column', { data: { note: 'a "note"' } }, ['mine']],
    ['by time in an own column', { data: { paidAt } }, ['mine']],
    ['by another value of an own column', { data: { accountId: 8 } }, []],
    ['by null in an own column', { data: { accountId: null }, target: Shop, method: 'ship' }, ['shop']],
  ])('%s', async (_, filter, names) => {
    const found = await Attempt.where(filter)
    const nameOf = (id: bigint) => Object.keys(made).find((name) => made[name]!.id === id)
    expect(found.map(({ id }) => nameOf(id))).toEqual(names)
    expect(await Attempt.count(filter)).toBe(names.length)
    expect(await Attempt.where(filter, { limit: 1 })).toHaveLength(Math.min(1, names.length))
  })

  it('by its parent', async () => {
    const { parent, child } = made
    expect((await Attempt.where({ parent: parent! })).map(({ id }) => id)).toEqual([child!.id])
    expect(await Attempt.count({ parent: parent!, status: 'failed' })).toBe(0)
  })

  it.each<[string, object, string[]]>([
    ['all of them', {}, ['veryUrgent', 'urgent']],
    ['by status', { status: 'succeeded' }, ['urgent']],
    ['by target', { target: Mail }, ['veryUrgent', 'urgent']],
    ['by the time of its end', { endedBefore: '1 hour' }, ['urgent']],
  ])('of a subclass, %s', async (_, filter, names) => {
    const found = await UrgentAttempt.where(filter)
    expect(found.map(({ id }) => id)).toEqual(names.map((name) => made[name]!.id))
    expect(await UrgentAttempt.count(filter)).toBe(names.length)
  })

  it('that were recorded after a time, also if somebody has written another time of their end', async () => {
    const { id } = await Attempt.async(Shop).ship()
    for (const end of ['2020-01-01', null, '-infinity']) {
      await rows(`UPDATE attempts SET status = 'succeeded', completed_at = $2 WHERE id = $1`, [id, end])
      expect(
        (await Attempt.where({ createdAfter: '1 hour', method: 'ship', status: 'succeeded' })).map((a) => a.id),
        `${end}`,
      ).toEqual([id])
      expect(await Attempt.count({ createdAfter: '1 hour', status: 'succeeded', target: Shop })).toBe(2)
    }
    await rows('DELETE FROM attempts WHERE id = $1', [id])
  })

  it('only by the latest error, and never by an encrypted one', async () => {
    const { id } = await Attempt.async(Shop).ship()
    const entry = (message: string) => ({ name: 'Error', message, number: 1 })
    const write = (errors: unknown) =>
      rows('UPDATE attempts SET errors = $2 WHERE id = $1', [id, JSON.stringify(errors)])
    await write([entry('first'), entry('second')])
    expect(await Attempt.count({ error: 'first' })).toBe(0)
    expect(await Attempt.count({ error: 'second' })).toBe(1)
    for (const odd of [[{ encrypted: 'second' }], 'second', { message: 'second' }, ['second'], null, []]) {
      await write(odd)
      expect(await Attempt.count({ error: 'second' }), JSON.stringify(odd)).toBe(0)
    }
    await rows('DELETE FROM attempts WHERE id = $1', [id])
  })
})

describe('a filter is refused', () => {
  const invalid = { code: 'INVALID_OPTION' }

  it.each<[string, object, string]>([
    [
      'with an unknown property',
      { stauts: 'failed' },
      'a filter has no property "stauts". It may have: status, target',
    ],
    ['with an unknown status', { status: 'done' }, 'status is "done". It must be one or several of: pending'],
    ['without any status in the list', { status: [] }, 'status is []'],
    ['with an unknown status in the list', { status: ['failed', 'done'] }, 'status is ["failed", "done"]'],
    ['with null as the status', { status: null }, 'status is null'],
    ['with an empty target', { target: '' }, 'target is ""'],
    [
      'with a number as the target',
      { target: 7 },
      'target is 7. It must be a target that targets.ts lists, or its name',
    ],
    ['with null as the target', { target: null }, 'target is null. It must be a target that targets.ts lists'],
    ['with an empty method', { method: '' }, 'method is "". It must be a text that is not empty'],
    ['with an empty token', { idempotenceToken: '' }, 'idempotenceToken is ""'],
    ['with an empty error', { error: '' }, 'error is ""'],
    ['with a number as the error', { error: 7 }, 'error is 7'],
    ['with a text that PostgreSQL cannot store', { error: 'a\0b' }, 'error is "a\\u0000b"'],
    [
      'with an invalid Date',
      { createdAfter: new Date(Number.NaN) },
      'createdAfter is an invalid Date. It must be a valid Date, or a duration',
    ],
    ['with an invalid duration', { endedBefore: 'yesterday' }, 'endedBefore is "yesterday"'],
    ['with null as a time', { endedAfter: null }, 'endedAfter is null'],
    ['with a duration that is longer than any Date', { createdAfter: 1e300 }, 'createdAfter is an invalid Date'],
    ['with an id as the parent', { parent: 7n }, 'parent is 7. It must be an attempt of the table attempts'],
    ['with null as the parent', { parent: null }, 'parent is null. It must be an attempt of the table attempts'],
    ['with an unknown column', { data: { acount: 7 } }, '"acount": it does not exist'],
    ['with an own column of async-gen', { data: { status: 'failed' } }, '"status"'],
    ['with a text as data', { data: 'accountId' }, 'data is "accountId". It must be an object'],
    ['that is no object', 'failed' as never, 'the filter is "failed"'],
    ['that is a list', [] as never, 'the filter is []'],
    ['that is null', null as never, 'the filter is null'],
  ])('%s', async (_, filter, message) => {
    for (const method of ['where', 'count', 'cancelAll'] as const) {
      const error = await Attempt[method](filter).catch((thrown) => thrown)
      expect(error).toBeInstanceOf(AsyncGenError)
      expect(error).toMatchObject(invalid)
      expect(error.message).toContain(message)
    }
    expect(await Attempt.count({ status: 'pending' }), 'nothing was cancelled').toBe(5)
  })

  it('with an object as the target that is not listed', async () => {
    await expect(Attempt.where({ target: {} as never })).rejects.toMatchObject({ code: 'UNKNOWN_TARGET' })
  })

  it('with an attempt of another table as the parent', async () => {
    await rows('CREATE TABLE archive AS SELECT * FROM attempts')
    onTestFinished(async () => void (await rows('DROP TABLE archive')))
    class Archived extends BaseAttempt(db, { model: 'Attempt', table: 'archive', targets }) {}
    const parent = (await Archived.find(made.parent!.id))!
    await expect(Attempt.where({ parent: parent as never })).rejects.toMatchObject(invalid)
  })

  it('but a property that is undefined does not filter', async () => {
    expect(await Attempt.count({ status: undefined, target: undefined } as never)).toBe(10)
  })
})
