import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { AesGcmEncryptor, BaseAttempt, connect, defineTargets, hasToast } from '@async-gen/runtime'
import { SuperJSON } from 'superjson'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { OWN_FIELDS } from '../../runtime/src/attempt/row.js'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

const Work = {
  note: async (name: string) => name,
  record: async (): Promise<(bigint | null)[]> => {
    await (await Attempt.current().tx()).order.count()
    const inside = await Attempt.async(Work).note('inside')
    const orphan = await Attempt.create({ target: Work, method: 'note', args: ['orphan'], parent: null })
    return [inside.parentId, orphan.parentId]
  },
  break: async () => {
    throw new Error('no answer')
  },
}
const targets = defineTargets({ Work })
const table = { model: 'Attempt', table: 'attempts', targets } as const
class Attempt extends BaseAttempt(db, table) {}

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
const warnings: (Error & { code?: string })[] = []
const listen = (warning: Error) => warnings.push(warning)
process.on('warning', listen)

afterEach(async () => {
  await new Promise(setImmediate)
  warnings.length = 0
  await rows('TRUNCATE attempts, graphile_worker._private_jobs CASCADE')
})
afterAll(async () => {
  process.off('warning', listen)
  await db.close()
  await prisma.$disconnect()
})

describe('data', () => {
  it.each(['status', 'lockedBy', 'locked_by', 'numAttempts', 'createdAt'])(
    'refuses %s, which is a field of async-gen',
    async (field) => {
      const data = { [field]: 'succeeded' } as never
      const message = `data cannot set "${field}": it is a field of async-gen.`
      await expect(Attempt.async(Work, { data }).note('x')).rejects.toThrow(message)
      expect(await Attempt.count()).toBe(0)
    },
  )

  it('refuses a field that the model does not have', async () => {
    const data = { acount: 'acme' } as never
    await expect(Attempt.async(Work, { data }).note('x')).rejects.toThrow(
      'data cannot set "acount": it does not exist. data sets the fields that you have added to the model',
    )
  })

  it('knows all fields of the generated model as its own', () => {
    expect(db.fieldsOf('Attempt').map(({ name }) => name)).toEqual(OWN_FIELDS)
  })
})

describe('tx', () => {
  it('refuses the client itself, for attempts and toasts', async () => {
    const refused = { code: 'NOT_A_TRANSACTION', message: expect.stringContaining('a PrismaClient itself') }
    await expect(Attempt.async(Work, { tx: prisma }).note('x')).rejects.toMatchObject(refused)
    const extended = prisma.$extends({})
    await expect(Attempt.async(Work, { tx: extended as never }).note('x')).rejects.toMatchObject(refused)
    const breakfast = hasToast(db, 'oat', 'refusing', { compute: () => 1 })
    const oat = await prisma.oat.create({ data: { name: 'Rolled' } })
    await expect(breakfast(oat, { tx: prisma })).rejects.toMatchObject(refused)
    await expect(Attempt.async(Work, { tx: 'tx' as never }).note('x')).rejects.toMatchObject({
      code: 'NOT_A_TRANSACTION',
    })
    expect(await Attempt.count()).toBe(0)
  })

  it('that is forgotten while a transaction is open is warned of, once for each place', async () => {
    for (const client of [prisma, prisma, prisma.$extends({}) as never as typeof prisma]) {
      await client.$transaction(async (tx) => {
        await tx.oat.count()
        await Attempt.async(Work).note('forgotten')
      })
    }
    await new Promise(setImmediate)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatchObject({
      code: 'FORGOTTEN_TRANSACTION',
      message: expect.stringMatching(
        /A call of Attempt was recorded outside of .* at .*attempt-options\.test\.ts:\d+:\d+\. .*\{ tx \}\.$/,
      ),
    })
  })

  it('is known of a client that is extended, and its transactions stay what they were', async () => {
    const extended = prisma.$extends({ client: { $twice: (number: number) => 2 * number } })
    const bound = connect(extended, { connectionString: url })
    class Extended extends BaseAttempt(bound, table) {}
    const [inside, four] = await extended.$transaction(async (tx) => {
      await Extended.async(Work).note('forgotten')
      return [await Extended.async(Work, { tx }).note('inside'), tx.$twice(2)] as const
    })
    expect([inside.status, four]).toEqual(['pending', 4])
    await new Promise(setImmediate)
    expect(warnings.map(({ code }) => code)).toEqual(['FORGOTTEN_TRANSACTION'])
    await bound.close()
  })

  it('is missed where a toast is expired, too', async () => {
    const breakfast = hasToast(db, 'oat', 'expired', { compute: () => 1 })
    await prisma.$transaction(async (tx) => {
      const oat = await tx.oat.create({ data: { name: 'Rolled' } })
      await breakfast.expire(oat)
    })
    await new Promise(setImmediate)
    expect(warnings.map(({ message }) => message)).toEqual([
      expect.stringContaining('The toast oat.expired was expired'),
    ])
  })

  it('that is forgotten beside the transaction of the call that runs is warned of', async () => {
    const attempt = await Attempt.async(Work).record()
    await attempt.perform()
    await new Promise(setImmediate)
    expect(warnings.map(({ code }) => code)).toEqual(['FORGOTTEN_TRANSACTION', 'FORGOTTEN_TRANSACTION'])
  })

  it('is not missed outside of transactions, after one, or where it was passed', async () => {
    await prisma.$transaction(async (tx) => {
      await Attempt.async(Work, { tx }).note('inside')
    })
    await Attempt.async(Work).note('after')
    let late: Promise<unknown> | undefined
    await prisma.$transaction(async () => {
      late = sleep(50).then(() => Attempt.async(Work).note('set going by it'))
    })
    await late
    await prisma.$transaction([prisma.oat.count()])
    await new Promise(setImmediate)
    expect(warnings).toEqual([])
  })
})

describe('in production', () => {
  it('the client stays as it is', () => {
    const before = process.env.NODE_ENV
    process.env.NODE_ENV = 'production'
    try {
      const $transaction = async () => {}
      const client = { $transaction, $queryRawUnsafe: async () => [] as never }
      connect(client, { connectionString: url })
      expect(client.$transaction).toBe($transaction)
    } finally {
      process.env.NODE_ENV = before
    }
  })
})

describe('before the migrations have run', () => {
  it('reading a toast says so', async () => {
    const breakfast = hasToast(db, 'oat', 'unmigrated', { compute: () => 1 })
    await rows('ALTER TABLE toasts RENAME TO elsewhere')
    const read = breakfast({ id: 1, updatedAt: new Date() })
    await expect(read).rejects.toMatchObject({
      code: 'NOT_MIGRATED',
      message: expect.stringContaining('no table toasts'),
    })
    await rows('ALTER TABLE elsewhere RENAME TO toasts')
  })

  it('recording and reading say so, on their own and in a transaction', async () => {
    class Missing extends BaseAttempt(db, { ...table, table: 'missing_attempts' }) {}
    const refused = {
      code: 'NOT_MIGRATED',
      message: expect.stringMatching(/This database has no table missing_attempts: .*npx prisma migrate deploy/),
    }
    await expect(Missing.async(Work).note('x')).rejects.toMatchObject(refused)
    await expect(Missing.find(1n)).rejects.toMatchObject(refused)
    const within = prisma.$transaction((tx) => Missing.async(Work, { tx }).note('x'))
    await expect(within).rejects.toMatchObject(refused)

    await rows('ALTER TABLE attempts RENAME COLUMN trace_context TO elsewhere')
    const column = {
      code: 'NOT_MIGRATED',
      message: expect.stringContaining('no column trace_context of table attempts: '),
    }
    await expect(Attempt.async(Work).note('x')).rejects.toMatchObject(column)
    await rows('ALTER TABLE attempts RENAME COLUMN elsewhere TO trace_context')
    expect(await Attempt.async(Work).note('x')).toMatchObject({ status: 'pending' })
  })
})

describe('an attempt', () => {
  it('knows whether it is due', async () => {
    const [due, later] = [
      await Attempt.async(Work).note('now'),
      await Attempt.schedule(new Date(Date.now() + 60_000), Work).note('later'),
    ]
    await rows(`UPDATE attempts SET scheduled_at = now() - interval '1 minute' WHERE id = $1`, [due.id])
    await due.reload()
    expect([due.isDue, later.isDue]).toEqual([true, false])
    await due.perform()
    expect(due.isDue).toBe(false)
  })

  it('P3: gets the priorities of its class where it is given none', async () => {
    class Email extends BaseAttempt(db, { ...table, priorities: { async: 3, schedule: 7 } }) {}
    expect((await Email.async(Work).note('x')).priority).toBe(3)
    expect((await Email.create({ target: Work, method: 'note', args: ['x'] })).priority).toBe(3)
    expect((await Email.schedule(new Date(), Work).note('x')).priority).toBe(7)
    expect((await Email.async(Work, { priority: 9 }).note('x')).priority).toBe(9)
    expect((await Attempt.async(Work).note('x')).priority).toBe(10)
    expect((await Attempt.schedule(new Date(), Work).note('x')).priority).toBe(20)
  })

  it('P8: gets the parent that it is given, or none', async () => {
    const parent = await Attempt.async(Work).note('parent')
    const child = await Attempt.async(Work, { parent }).note('child')
    expect((await child.parent())?.id).toBe(parent.id)
    expect((await parent.children()).map(({ id }) => id)).toEqual([child.id])

    const attempt = await Attempt.async(Work).record()
    await attempt.perform()
    expect(attempt.result).toEqual([attempt.id, null])

    class Other extends BaseAttempt(db, { ...table, table: 'other_attempts' }) {}
    const stranger = new Other({ ...(await rows('SELECT * FROM attempts LIMIT 1'))[0] })
    await expect(Attempt.async(Work, { parent: stranger }).note('x')).rejects.toThrow(
      'parent is an attempt of another table. It must be an attempt of the table attempts, or null.',
    )
  })

  it('names its target, and gives it', async () => {
    const attempt = await Attempt.async(Work).note('x')
    expect(attempt.target).toBe('Work')
    expect(await attempt.targetObject()).toBe(Work)
  })
})

describe('a misspelt option', () => {
  it.each([
    ['timeOut', () => Attempt.async(Work, { timeOut: '3s' } as never).note('x')],
    ['limits', () => Attempt.where({}, { limits: 5 } as never)],
    ['timeOut', async () => (await Attempt.async(Work).note('x')).wait({ timeOut: '3s' } as never)],
    ['dryrun', () => Attempt.retryAll({}, { dryrun: true } as never)],
  ])('%s is refused', async (option, call) => {
    await expect(call()).rejects.toMatchObject({ code: 'UNKNOWN_OPTION', message: expect.stringContaining(option) })
  })

  it('and one with a wrong value is refused, too', async () => {
    await expect(Attempt.where({}, { limit: '5' } as never)).rejects.toThrow('limit is "5". It must be a whole number')
    await expect(Attempt.retryAll({}, { dryRun: 'yes' } as never)).rejects.toThrow('dryRun is "yes"')
    await expect(Attempt.rescheduleAll({}, undefined as never)).rejects.toThrow('to')
  })
})

describe('as JSON', () => {
  it('is its documented fields, with ids as text', async () => {
    const parent = await Attempt.async(Work).note('parent')
    const attempt = await Attempt.async(Work, { parent, idempotenceToken: 'once' }).note('Ada')
    await attempt.perform()
    const expected = {
      id: String(attempt.id),
      target: 'Work',
      method: 'note',
      args: ['Ada'],
      encryptor: null,
      status: 'succeeded',
      priority: 10,
      numAttempts: 1,
      maxAttempts: 25,
      idempotenceToken: 'once',
      scheduledAt: attempt.scheduledAt.toJSON(),
      expiresAt: null,
      timeoutMs: null,
      snoozes: 0,
      limitKey: null,
      schedule: null,
      startedAt: attempt.startedAt?.toJSON(),
      completedAt: attempt.completedAt?.toJSON(),
      createdAt: attempt.createdAt.toJSON(),
      updatedAt: attempt.updatedAt.toJSON(),
      parentId: String(parent.id),
      batchId: null,
      afterIds: [],
      progress: null,
      progressMessage: null,
      result: 'Ada',
      errors: [],
    }
    expect(JSON.parse(JSON.stringify({ attempt }))).toEqual({ attempt: expected })
    expect(JSON.parse(SuperJSON.stringify({ attempt }))).toMatchObject({ json: { attempt: expected } })
    expect(Object.getPrototypeOf(attempt.toJSON())).toBe(Object.prototype)
    expect(structuredClone(attempt.toJSON())).toEqual(expected)
    expect(inspect(attempt)).toMatch(/^Attempt \{\s+id: '\d+',\s+target: 'Work',/)
    const within = await prisma.$transaction((tx) => Attempt.async(Work, { tx }).note('within'))
    expect(JSON.parse(JSON.stringify(within))).toMatchObject({ id: String(within.id), args: ['within'] })
  })

  it('shows values of other types as SQL does, and errors without their stacks', async () => {
    const at = new Date(0)
    const attempt = await Attempt.async(Work).note({ at, big: 2n ** 64n } as never)
    expect(JSON.parse(JSON.stringify(attempt)).args).toEqual([{ at: at.toJSON(), big: String(2n ** 64n) }])
    const broken = await Attempt.async(Work).break()
    await broken.perform()
    const elapsed = expect.any(Number)
    expect(broken.toJSON().errors).toEqual([
      { number: 1, at: expect.any(String), elapsed, name: 'Error', message: 'no answer' },
    ])
  })

  it('reveals nothing that is encrypted', async () => {
    const encryptor = new AesGcmEncryptor({ first: Buffer.alloc(32, 7).toString('base64') })
    class Secret extends BaseAttempt(db, { ...table, encryptor }) {}
    const [attempt, broken] = [await Secret.async(Work).note('tok_7355608'), await Secret.async(Work).break()]
    await attempt.perform()
    await broken.perform()
    for (const each of [attempt, broken]) {
      const shown = [JSON.stringify(each), inspect(each), SuperJSON.stringify(each)]
      for (const text of shown) expect(text).not.toMatch(/tok_7355608|no answer|encrypted|result/)
    }
    expect(attempt.result).toBe('tok_7355608')
    expect(broken.toJSON().errors).toEqual([{ number: 1, at: expect.any(String), elapsed: expect.any(Number) }])
  })
})

describe('connect', () => {
  it('refuses a duration that is none when it is given', () => {
    expect(() => connect(prisma, { connectionString: url, transactionTimeout: 'soon' as never })).toThrow(
      '"soon" is not a duration',
    )
  })
})
