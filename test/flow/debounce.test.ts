import { AesGcmEncryptor, BaseAttempt, defineTargets } from '@async-gen/runtime'
import { drain, perform, recorded, testClock } from '@async-gen/runtime/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

let calls: unknown[][] = []
const Search = {
  index: async (id: number, text: string) => {
    calls.push([id, text])
  },
  failing: async () => {
    throw new Error('no')
  },
}
const subclasses: Record<string, object> = {}
class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets({ Search }, { subclasses }),
}) {}
class UrgentAttempt extends Attempt {}
subclasses.UrgentAttempt = UrgentAttempt
class SecretAttempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets({ Search }),
  encryptor: new AesGcmEncryptor({ first: Buffer.alloc(32, 1).toString('base64') }),
}) {}

type Row = Record<string, unknown>
const rows = (sql: string, values?: unknown[]) => query(url, sql, values) as Promise<Row[]>
const debounce = { key: '7', wait: '10s', atMost: '1 minute' } as const
const ask = (text: string, options: object = {}) => Attempt.async(Search, { debounce, ...options }).index(7, text)
const stored = () => rows(`SELECT args->>1 AS text, status::text, type FROM attempts ORDER BY id`)

afterEach(async () => {
  calls = []
  await (await testClock(db)).reset()
  await rows('TRUNCATE attempts CASCADE')
})

describe('a debounced call', () => {
  it('runs once, with the newest arguments, when nobody has asked for some time', async () => {
    const clock = await testClock(db)
    const first = await ask('one')
    expect(first.duplicate).toBe(false)
    await clock.advance('8s')
    const second = await ask('two')
    expect([second.id, second.duplicate, second.args]).toEqual([first.id, true, [7, 'two']])
    // More than ten seconds after the first, and far less after the second, on a busy machine too.
    await clock.advance('3s')
    expect((await drain(db)).succeeded).toBe(0)
    await clock.advance('8s')
    await drain(db)
    expect(calls).toEqual([[7, 'two']])
  })

  it('is put off for atMost after the first', async () => {
    const clock = await testClock(db)
    const first = await ask('0')
    for (let i = 1; i <= 12; i++) {
      await clock.advance('5s')
      await ask(String(i))
    }
    const [attempt] = await recorded(Attempt, { target: Search })
    expect(attempt!.scheduledAt.getTime() - first.createdAt.getTime()).toBeLessThan(61_000)
    await clock.advance('1s')
    await drain(db)
    expect(calls).toEqual([[7, '12']])
  })

  it('has its expiry counted from when it is due, also where atMost is shorter than wait', async () => {
    for (const waits of [debounce, { key: '8', wait: '1 hour', atMost: '1 minute' }]) {
      const { scheduledAt, expiresAt } = await ask('one', { debounce: waits, expiresAfter: '30 minutes' })
      expect(Math.abs(expiresAt!.getTime() - scheduledAt.getTime() - 1_800_000)).toBeLessThan(1000)
    }
  })

  it('keeps other keys, methods and targets apart', async () => {
    await ask('one')
    await Attempt.async(Search, { debounce: { key: '8', wait: '10s' } }).index(8, 'other')
    await Attempt.async(Search, { debounce }).failing()
    expect(await rows('SELECT FROM attempts')).toHaveLength(3)
  })

  it('that is asked for during a run runs once more, with the newest arguments', async () => {
    const now = { key: '7', wait: 0 }
    const first = await ask('one', { debounce: now })
    await rows(`UPDATE attempts SET status = 'running', num_attempts = 1, locked_by = 1`)
    const others = await Promise.all(['two', 'three', 'four'].map((text) => ask(text, { debounce: now })))
    expect(new Set(others.map(({ id }) => id)).size).toBe(1)
    expect(others[0]!.id).not.toBe(first.id)
    await ask('five', { debounce: now })
    expect(await stored()).toMatchObject([{ status: 'running' }, { status: 'pending', text: 'five' }])
    // A run that ends with an error waits for its retry, beside the next.
    await rows(`UPDATE attempts SET status = 'pending', locked_by = NULL WHERE status = 'running'`)
    expect(await stored()).toMatchObject([{ status: 'pending', text: 'one' }, { status: 'pending' }])
  })

  it('exists only if its transaction commits, and then replaces the waiting one', async () => {
    await ask('one')
    const abort = prisma.$transaction(async (tx) => {
      await ask('two', { tx })
      throw new Error('rolled back')
    })
    await expect(abort).rejects.toThrow('rolled back')
    expect(await stored()).toMatchObject([{ text: 'one' }])
    await prisma.$transaction(async (tx) => {
      expect((await ask('three', { tx })).duplicate).toBe(true)
      expect((await ask('four', { tx })).duplicate).toBe(true)
    })
    expect(await stored()).toMatchObject([{ text: 'four' }])
  })

  it.each(['RepeatableRead', 'Serializable'] as const)('works in a transaction that is %s', async (isolationLevel) => {
    await prisma.$transaction(async (tx) => void (await ask('one', { tx })), { isolationLevel })
    await prisma.$transaction(async (tx) => void (await ask('two', { tx })), { isolationLevel })
    expect(await stored()).toMatchObject([{ text: 'two' }])
  })

  it.each([
    ['debounce', { debounce }],
    ['unique', { unique: 'pending' }],
  ])('with %s, is recorded once by 50 connections at the same time', async (_, options) => {
    const asked = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const { connect } = await import('@async-gen/runtime')
        const own = connect(prisma, { connectionString: url, poolSize: 1 })
        class Own extends BaseAttempt(own, {
          model: 'Attempt',
          table: 'attempts',
          targets: defineTargets({ Search }),
        }) {}
        try {
          return await Own.async(Search, options as never).index(7, 'same')
        } finally {
          await own.close()
        }
      }),
    )
    expect(asked.filter(({ duplicate }) => !duplicate)).toHaveLength(1)
    expect(await stored()).toHaveLength(1)
  })

  it('is replaced with its options, and by the call of a subclass', async () => {
    await ask('one', { priority: 5, expiresAfter: '1 minute' })
    await UrgentAttempt.async(Search, { debounce, priority: 30 }).index(7, 'two')
    const [attempt] = await recorded(Attempt, { target: Search })
    expect(attempt).toBeInstanceOf(UrgentAttempt)
    expect([attempt!.priority, attempt!.expiresAt]).toEqual([30, null])
  })

  it('with encrypted arguments is bound to the row that waits', async () => {
    const one = await SecretAttempt.async(Search, { debounce }).index(7, 'one')
    const two = await SecretAttempt.async(Search, { debounce }).index(7, 'two')
    expect([two.id, two.duplicate, two.args]).toEqual([one.id, true, [7, 'two']])
    const many = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        SecretAttempt.async(Search, { debounce: { key: 'many', wait: 0 } }).index(i, 'x'),
      ),
    )
    expect(many.filter(({ duplicate }) => !duplicate)).toHaveLength(1)
    const [waiting] = await recorded(SecretAttempt, { args: [expect.any(Number), 'x'] })
    await perform(waiting!)
    expect(calls).toHaveLength(1)
  })

  it('in createMany counts once for each key, with the newest arguments', async () => {
    const index = (text: string, options: object = {}) => ({
      target: Search,
      method: 'index' as const,
      args: [7, text] as [number, string],
      ...options,
    })
    const recordedCalls = await Attempt.createMany([
      index('one', { debounce }),
      index('plain'),
      index('two', { debounce }),
      index('u', { unique: 'pending' }),
      index('u', { unique: 'pending' }),
    ])
    expect(recordedCalls.map(({ args, duplicate }) => [args[1], duplicate])).toEqual([
      ['two', true],
      ['plain', false],
      ['two', false],
      ['u', false],
      ['u', true],
    ])
    expect(await stored()).toHaveLength(3)
  })

  it.each([
    [{ debounce, idempotenceToken: 'x' }, 'debounce cannot be combined with idempotenceToken'],
    [{ unique: 'pending', idempotenceToken: 'x' }, 'unique cannot be combined with idempotenceToken'],
    [{ debounce, unique: 'pending' }, 'unique cannot be combined with debounce'],
    [{ debounce, scheduledAt: new Date() }, 'debounce cannot be combined with a time'],
    [{ debounce: { key: '', wait: 0 } }, 'debounce.key is . It must be a text'],
    [{ debounce: { key: 'x', wait: 'soon' } }, 'debounce.wait: "soon" is not a duration'],
    [{ debounce: { key: 'x' } }, 'debounce.wait: undefined is not a duration'],
    [{ debounce: { key: 'x', wait: 0, until: 1 } }, 'debounce has no option "until"'],
    [{ unique: 'running' }, `unique is "running". It must be 'pending'.`],
  ])('refuses what has no meaning: %j', async (options, message) => {
    await expect(ask('x', { debounce: undefined, ...options })).rejects.toThrow(message)
  })

  it('refuses a debounced call in a batch, and one that waits for others', async () => {
    const first = await Attempt.async(Search).index(1, 'x')
    await expect(Attempt.async(Search, { debounce, after: [first] }).index(7, 'x')).rejects.toThrow(
      'cannot belong to a batch, nor wait for others',
    )
    const call = { target: Search, method: 'index' as const, args: [7, 'x'] as [number, string] }
    await expect(Attempt.batch([{ ...call, unique: 'pending' }])).rejects.toThrow(
      'cannot belong to a batch, nor wait for others',
    )
    expect(await Attempt.count()).toBe(1)
  })

  it('refuses unique for encrypted arguments, and tokens beside it in createMany', async () => {
    await expect(SecretAttempt.async(Search, { unique: 'pending' }).index(7, 'x')).rejects.toThrow(
      'which are encrypted here',
    )
    const call = { target: Search, method: 'index' as const, args: [7, 'x'] as [number, string] }
    const both = Attempt.createMany([
      { ...call, debounce },
      { ...call, idempotenceToken: 'x' },
    ])
    await expect(both).rejects.toThrow('together')
  })
})

describe('a unique call', () => {
  it('is returned while it waits, and recorded again when it has begun', async () => {
    const unique = (text: string) => Attempt.async(Search, { unique: 'pending' }).index(7, text)
    const first = await unique('a')
    const second = await unique('a')
    expect([second.id, second.duplicate]).toEqual([first.id, true])
    expect((await unique('b')).duplicate).toBe(false)
    await drain(db)
    expect(calls).toHaveLength(2)
    expect((await unique('a')).duplicate).toBe(false)
  })

  it('takes the place of one that has expired while no worker ran', async () => {
    const unique = (options = {}) => Attempt.async(Search, { unique: 'pending', ...options }).index(7, 'a')
    const expired = await unique({ expiresAfter: 1 })
    await new Promise((resolve) => setTimeout(resolve, 10))
    const newer = await unique()
    expect([newer.id, newer.expiresAt]).toEqual([expired.id, null])
    await drain(db)
    expect(calls).toEqual([[7, 'a']])
  })
})

it('refuses to change the arguments of other rows, and of debounced ones that run', async () => {
  const plain = await Attempt.async(Search).index(7, 'plain')
  const change = (id: bigint, text = 'x') =>
    rows('UPDATE attempts SET args = jsonb_build_array(1, $2::text) WHERE id = $1', [String(id), text])
  await expect(change(plain.id)).rejects.toThrow('cannot change after creation')
  const debounced = await ask('one')
  await change(debounced.id)
  await expect(rows(`UPDATE attempts SET target = 'Other' WHERE debounce_key IS NOT NULL`)).rejects.toThrow(
    'cannot change',
  )
  await rows(`UPDATE attempts SET status = 'running'`)
  await expect(change(debounced.id, 'y')).rejects.toThrow('cannot change after creation')
})
