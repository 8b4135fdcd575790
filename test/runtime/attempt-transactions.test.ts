import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { BaseAttempt, connect, defineTargets, sweep, TransactionEndedError } from '@async-gen/runtime'
import { PrismaPg } from '@prisma/adapter-pg'
import { runMigrations } from 'graphile-worker'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import type { BoundClass } from '../../runtime/src/attempt/binding.js'
import type { NewAttempt } from '../../runtime/src/attempt/row.js'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { PrismaClient } = await import('../.app/src/generated/prisma/client.js')
const { prisma } = await import('../.app/src/db.js')

const Mail = { send: async (to: string) => to }
const targets = defineTargets({ Mail })
const attemptsOf = (client: typeof prisma) =>
  class Attempt extends BaseAttempt(connect(client, { connectionString: url }), {
    model: 'Attempt',
    table: 'attempts',
    targets,
  }) {}
const Attempt = attemptsOf(prisma)

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)

afterEach(() => rows('TRUNCATE attempts, graphile_worker._private_jobs CASCADE'))

/** A row as JSON: ids are text from pg, and bigint from Prisma. */
function asJson(row: unknown): Record<string, unknown> {
  return JSON.parse(JSON.stringify(row, (_, value) => (typeof value === 'bigint' ? `${value}` : value)))
}

/** `Promise.withResolvers`, which Node 20 does not have. */
function withResolvers() {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

type Moment = 'the rollback' | 'the next transaction'

/**
 * A client with one connection that sends the INSERT of an attempt only after the rollback of its transaction, or in the next
 * transaction. `sent` resolves when PostgreSQL has answered that INSERT.
 */
function lateClient(after: Moment) {
  const moment = withResolvers()
  const sent = withResolvers()
  const rolledBack = withResolvers()
  const factory = new PrismaPg({ connectionString: url, max: 1 })
  const connectAdapter = factory.connect.bind(factory)
  let isHeld = false
  factory.connect = async () => {
    const adapter = await connectAdapter()
    const begin = adapter.startTransaction.bind(adapter)
    adapter.startTransaction = async (...args) => {
      const transaction = await begin(...args)
      if (isHeld && after === 'the next transaction') moment.resolve()
      const [queryRaw, rollback] = [transaction.queryRaw.bind(transaction), transaction.rollback.bind(transaction)]
      transaction.queryRaw = async (statement) => {
        if (!/INSERT INTO "attempts"/.test(statement.sql)) return await queryRaw(statement)
        isHeld = true
        await moment.promise
        return await queryRaw(statement).finally(sent.resolve)
      }
      transaction.rollback = async () => {
        await rollback()
        if (!isHeld) return
        rolledBack.resolve()
        if (after === 'the rollback') moment.resolve()
      }
      return transaction
    }
    return adapter
  }
  const client = new PrismaClient({ adapter: factory })
  return { client, isHeld: () => isHeld, sent: sent.promise, rolledBack: rolledBack.promise }
}

describe('a statement that outlives its transaction', () => {
  it('A1: records nothing once Prisma has rolled back', async () => {
    const late = lateClient('the rollback')
    const { client, sent } = late
    await expect(recordTooLate(late)).rejects.toThrow(TransactionEndedError)
    await sent
    expect(await rows('SELECT args FROM attempts')).toEqual([])
    await client.$disconnect()
  })

  it('A1: records nothing inside the transaction that has borrowed the connection meanwhile', async () => {
    const late = lateClient('the next transaction')
    const { client, sent, rolledBack } = late
    const refused = expect(recordTooLate(late)).rejects.toThrow(TransactionEndedError)
    await rolledBack
    await client.$transaction(
      async (tx) => {
        await sent
        await tx.order.create({ data: { number: 1, customerToken: 'somebody else' } })
      },
      { timeout: 60_000, maxWait: 60_000 },
    )
    await refused
    expect(await rows('SELECT args FROM attempts')).toEqual([])
    expect(await rows('SELECT number FROM "Order"')).toEqual([{ number: 1 }])
    await client.$disconnect()
  })

  it('A1: leaves the refusal to Prisma (P2028) where it has closed the transaction before', async () => {
    const timedOut = prisma.$transaction(
      async (tx) => {
        await sleep(500)
        await Attempt.async(Mail, { tx }).send('after the timeout')
      },
      { timeout: 50, maxWait: 60_000 },
    )
    await expect(timedOut).rejects.toMatchObject({ code: 'P2028' })
    const committed = await prisma.$transaction(async (tx) => tx, { timeout: 60_000, maxWait: 60_000 })
    await expect(Attempt.async(Mail, { tx: committed }).send('after the commit')).rejects.toMatchObject({
      code: 'P2028',
    })
    expect(await rows('SELECT args FROM attempts')).toEqual([])
  })

  async function recordTooLate({ client, isHeld }: ReturnType<typeof lateClient>) {
    const Late = attemptsOf(client as typeof prisma)
    // On a busy machine a transaction may time out before it comes to the INSERT.
    for (let timeout = 1000; ; timeout *= 4) {
      try {
        const options = { timeout, maxWait: 60_000 }
        return await client.$transaction(async (tx) => await Late.async(Mail, { tx }).send('ghost'), options)
      } catch (error) {
        if (isHeld()) throw error
      }
    }
  }
})

describe('an operation that the call does not await', () => {
  const database = connect(prisma, { connectionString: url })
  /** One operation of two statements: SELECT and INSERT. */
  const upsert = async (number: number) => {
    const tx = await Unawaited.current().tx()
    await tx.order.upsert({ where: { id: -1 }, create: { number, customerToken: 'unawaited' }, update: {} })
  }
  const Orders = {
    failBeside: async (number: number, turns: number) => {
      const tx = await Unawaited.current().tx()
      await tx.order.count()
      const failing = async () => {
        for (let i = 0; i < turns; i++) await nextTurn()
        throw new Error('no answer')
      }
      await Promise.all([upsert(number), failing()])
    },
    keepTransaction: async () => {
      kept = await Unawaited.current().tx()
      throw new Error('no answer')
    },
  }
  let kept: Awaited<ReturnType<ReturnType<typeof Unawaited.current>['tx']>>
  class Unawaited extends BaseAttempt(database, {
    model: 'Attempt',
    table: 'attempts',
    targets: defineTargets({ Orders }),
  }) {}
  const orders = () => rows(`SELECT number FROM "Order" WHERE "customerToken" = 'unawaited' ORDER BY number`)
  afterEach(() => rows('TRUNCATE "Order" CASCADE'))
  afterAll(() => database.close())

  it('A9: is rolled back with the call that fails, also if it sends several statements', async () => {
    for (let i = 0; i < 100; i++) await (await Unawaited.async(Orders).failBeside(i, i)).perform()
    await sleep(100)
    expect(await orders()).toEqual([])
  })

  it('P7: is rejected with CALL_ENDED if it begins after the rollback', async () => {
    await (await Unawaited.async(Orders).keepTransaction()).perform()
    await expect(kept.order.count()).rejects.toMatchObject({ code: 'CALL_ENDED' })
  })
})

describe('calls that ask for their transaction', () => {
  it('A9: wait for a connection of the PrismaClient while others hold them all', async () => {
    const narrow = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, max: 1 }) })
    const Slow = {
      hold: async (): Promise<void> => {
        await Narrow.current().tx()
        await sleep(800)
      },
    }
    class Narrow extends BaseAttempt(connect(narrow as typeof prisma, { connectionString: url }), {
      model: 'Attempt',
      table: 'attempts',
      targets: defineTargets({ Slow }),
    }) {}
    const attempts = await Narrow.createMany(
      Array.from({ length: 4 }, () => ({ target: Slow, method: 'hold' as const })),
    )
    const performed = await Promise.all(attempts.map(({ id }) => Narrow.perform(id)))
    expect(performed.map((attempt) => attempt?.errors)).toEqual([[], [], [], []])
    await narrow.$disconnect()
  })
})

describe('a transaction that goes back to a savepoint', () => {
  it('A1: takes with it what was recorded since, and can record more, even where its first try had failed', async () => {
    await prisma.$transaction(async (tx) => {
      await tx.$executeRaw`SAVEPOINT before`
      await tx.$queryRaw`SELECT 1 / 0`.catch(() => {})
      await expect(Attempt.async(Mail, { tx }).send('aborted')).rejects.toThrow('25P02')
      await tx.$executeRaw`ROLLBACK TO SAVEPOINT before`
      await Attempt.async(Mail, { tx }).send('undone')
      await tx.$executeRaw`ROLLBACK TO SAVEPOINT before`
      await Attempt.async(Mail, { tx }).send('kept')
    })
    expect(await rows('SELECT args FROM attempts')).toEqual([{ args: ['kept'] }])
    expect(await rows('SELECT FROM graphile_worker.jobs')).toHaveLength(1)
  })
})

describe('an idempotence token', () => {
  it('A3: of 50 transactions that use one at the same time, some of which roll back, leaves one row', async () => {
    const tried = Array.from({ length: 50 }, (_, i) =>
      prisma.$transaction(
        async (tx) => {
          const attempt = await Attempt.async(Mail, { tx, idempotenceToken: 'welcome' }).send('Ada')
          if (i % 3 === 0) throw new Error('rolled back')
          return attempt
        },
        { timeout: 20_000, maxWait: 20_000 },
      ),
    )
    const settled = await Promise.allSettled(tried)
    const attempts = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    const failures = settled.flatMap((result) => (result.status === 'rejected' ? [result.reason.message] : []))

    expect(new Set(failures)).toEqual(new Set(['rolled back']))
    expect(new Set(attempts.map(({ id }) => id)).size).toBe(1)
    expect(attempts.filter(({ duplicate }) => !duplicate)).toHaveLength(1)
    expect(await rows('SELECT count(*)::int AS n FROM attempts')).toEqual([{ n: 1 }])
  })

  it.each(['RepeatableRead', 'Serializable'] as const)(
    'A3: that somebody has used since a %s transaction began ends it as any conflict does, and the next try gets the row',
    async (isolationLevel) => {
      let tries = 0
      const record = () =>
        prisma.$transaction(
          async (tx) => {
            await tx.order.count()
            if (tries++ === 0) await Attempt.async(Mail, { idempotenceToken: 'once' }).send('first')
            return await Attempt.async(Mail, { tx, idempotenceToken: 'once' }).send('second')
          },
          { isolationLevel },
        )
      await expect(record()).rejects.toThrow('40001')
      expect(await record()).toMatchObject({ duplicate: true, args: ['first'] })
    },
  )

  it('A3: of several calls at once, against the same in the opposite order, gives each row once', async () => {
    const tokens = ['a', 'b', 'c', 'd', 'e']
    const record = (order: string[]) =>
      prisma.$transaction(
        async (tx) => {
          const calls = order.map((token) => ({
            target: Mail,
            method: 'send' as const,
            args: [token] as [string],
            idempotenceToken: token,
          }))
          const attempts = await Attempt.createMany(calls, { tx })
          await sleep(100) // while the other one waits for its tokens
          return attempts
        },
        { timeout: 60_000, maxWait: 60_000 },
      )
    const settled = await Promise.allSettled([record(tokens), record(tokens.toReversed()), record(tokens)])
    const recorded = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    expect(recorded).toHaveLength(3)
    for (const attempts of recorded)
      for (const attempt of attempts) expect(attempt.args).toEqual([attempt.idempotenceToken])
    expect(recorded.flat().filter(({ duplicate }) => !duplicate)).toHaveLength(5)
    expect(await rows('SELECT count(*)::int AS n FROM attempts')).toEqual([{ n: 5 }])
  })

  it('A3: of calls in opposite orders cause no deadlock while a third transaction holds one of them', async () => {
    const record = (tokens: string[], tx?: Parameters<Parameters<typeof prisma.$transaction>[0]>[0]) =>
      Attempt.createMany(
        tokens.map((idempotenceToken) => ({
          target: Mail,
          method: 'send',
          args: [idempotenceToken],
          idempotenceToken,
        })),
        { tx },
      )
    const options = { timeout: 60_000, maxWait: 60_000 }
    const waiting: Promise<unknown>[] = []
    await prisma.$transaction(async (tx) => {
      await record(['m'], tx)
      for (const tokens of [
        ['a', 'm', 'z'],
        ['z', 'm', 'a'],
      ]) {
        waiting.push(prisma.$transaction((own) => record(tokens, own), options))
        await sleep(200)
      }
    }, options)
    expect((await Promise.allSettled(waiting)).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled'])
    expect(await rows('SELECT idempotence_token AS token FROM attempts ORDER BY 1')).toEqual(
      ['a', 'm', 'z'].map((token) => ({ token })),
    )
  })

  it('A3: does not matter where it is null', async () => {
    await Attempt.async(Mail).send('Ada')
    const again = await Attempt.async(Mail).send('Ada')
    expect(again.duplicate).toBe(false)
  })

  it('A3: belongs to one method of one target', async () => {
    const Other = { send: async (to: string) => to, cancel: async () => {} }
    class Both extends BaseAttempt(connect(prisma, { connectionString: url }), {
      model: 'Attempt',
      table: 'attempts',
      targets: defineTargets({ Mail, Other }),
    }) {}
    const recorded = [
      await Both.async(Mail, { idempotenceToken: 't' }).send('Ada'),
      await Both.async(Other, { idempotenceToken: 't' }).send('Ada'),
      await Both.async(Other, { idempotenceToken: 't' }).cancel(),
    ]
    expect(recorded.map(({ duplicate }) => duplicate)).toEqual([false, false, false])
  })
})

describe('a client of the host’s own making', () => {
  it('A1, A9: extended, with fields left out and queries intercepted, records and performs all the same', async () => {
    const operations: string[] = []
    const extended = new PrismaClient({
      adapter: new PrismaPg({ connectionString: url }),
      omit: { attempt: { args: true, status: true } },
    }).$extends({
      query: {
        $allOperations: ({ operation, args, query }) => {
          operations.push(operation)
          return query(args)
        },
      },
      result: { attempt: { label: { needs: { id: true }, compute: ({ id }) => `no. ${id}` } } },
    })
    const database = connect(extended, { connectionString: url })
    const Orders = {
      place: async (number: number) => {
        const tx = await Extended.current().tx()
        return (await tx.order.create({ data: { number, customerToken: 'tok' } })).number
      },
    }
    class Extended extends BaseAttempt(database, {
      model: 'Attempt',
      table: 'attempts',
      targets: defineTargets({ Orders }),
    }) {}
    const attempt = await extended.$transaction((tx) => Extended.async(Orders, { tx }).place(815))
    expect(attempt).toMatchObject({ status: 'pending', args: [815], data: {} })
    await attempt.perform()
    expect(attempt).toMatchObject({ status: 'succeeded', result: 815 })
    expect(await rows('SELECT FROM "Order" WHERE number = 815')).toHaveLength(1)
    expect(operations).toContain('$queryRawUnsafe')
    await Promise.all([extended.$disconnect(), database.close()])
  })
})

describe('an id beyond 2⁵³', () => {
  it('A2, P17: is kept to the last digit: recorded, performed, rescued, enqueued and cancelled', async () => {
    await rows(`SELECT setval('attempts_id_seq', 9007199254740993)`)
    const attempt = await prisma.$transaction((tx) => Attempt.async(Mail, { tx }).send('Ada'))
    expect(attempt.id).toBe(9007199254740994n)
    await rows(`UPDATE attempts SET status = 'running', locked_by = 2000000000`)
    await rows('TRUNCATE graphile_worker._private_jobs')
    await sweep(Attempt.db)
    const [{ key, payload }] = await rows('SELECT key, payload FROM graphile_worker._private_jobs')
    expect({ key, payload }).toEqual({ key: `attempt:${attempt.id}`, payload: { id: `${attempt.id}` } })
    expect(await Attempt.perform(BigInt(payload.id))).toMatchObject({ id: attempt.id, result: 'Ada' })
    const other = await Attempt.async(Mail).send('Eve')
    await other.cancel()
    expect((await Attempt.find(other.id))?.status).toBe('cancelled')
  })
})

describe('many calls at once', () => {
  const call = (to: string, idempotenceToken?: string) => ({
    target: Mail,
    method: 'send' as const,
    args: [to] as [string],
    idempotenceToken,
  })

  it('A1: are recorded by one statement, and returned in their order', async () => {
    const statements = vi.spyOn(Attempt.db.pool, 'query')
    const attempts = await Attempt.createMany(Array.from({ length: 500 }, (_, i) => call(`${i}`)))
    expect(attempts.map(({ args }) => args[0])).toEqual(Array.from({ length: 500 }, (_, i) => `${i}`))
    expect(statements).toHaveBeenCalledOnce()
    expect(await rows('SELECT count(*)::int AS n FROM graphile_worker.jobs')).toEqual([{ n: 500 }])
  })

  it('A3: with tokens that are taken, before or among themselves, say so', async () => {
    const taken = await Attempt.create(call('first', 'a'))
    const attempts = await Attempt.createMany([call('x'), call('y', 'a'), call('z', 'b'), call('again', 'b')])
    expect(attempts.map(({ duplicate }) => duplicate)).toEqual([false, true, false, true])
    expect(attempts[1]?.id).toBe(taken.id)
    expect(attempts[3]?.id).toBe(attempts[2]?.id)
    expect(attempts.map(({ args }) => args[0])).toEqual(['x', 'first', 'z', 'z'])
  })

  const [due, later] = [new Date('2030-01-01'), new Date('2030-01-01T01:00:00Z')]
  it.each<[string, Partial<NewAttempt>, Record<string, unknown>]>([
    ['an id', { id: '4611686018427387904' }, { id: '4611686018427387904' }],
    ['a type', { type: 'UrgentAttempt' }, { type: 'UrgentAttempt' }],
    ['an encryptor', { encryptor: 'Mine' }, { encryptor: 'Mine' }],
    ['a priority', { priority: 3 }, { priority: 3 }],
    ['a number of attempts', { maxAttempts: 4 }, { max_attempts: 4 }],
    ['a token', { idempotenceToken: 'order-1' }, { idempotence_token: 'order-1' }],
    ['a time', { scheduledAt: due }, { scheduled_at: due }],
    ['an expiry', { expiresAt: later }, { expires_at: later }],
    ['an expiry after its time', { scheduledAt: due, expiresAfter: 3_600_000 }, { expires_at: later }],
    ['a time limit', { timeoutMs: 500 }, { timeout_ms: 500 }],
    ['a limit', { limitKey: 'Mail:acme' }, { limit_key: 'Mail:acme' }],
    ['a parent', { parentId: 1n }, { parent_id: '1' }],
    ['calls before it', { afterIds: ['1'] }, { after_ids: ['1'], status: 'blocked' }],
    ['a reaction to failures', { afterIds: ['1'], ifFailed: 'run' }, { if_failed: 'run' }],
    ['a trace', { traceContext: { traceparent: '00-1' } }, { trace_context: { traceparent: '00-1' } }],
  ])(
    'A2: with %s have it, alone and beside a call without, in a transaction and outside',
    async (_, given, columns) => {
      const { store } = Attempt as unknown as BoundClass
      const plain: NewAttempt = {
        type: null,
        target: 'Mail',
        method: 'send',
        args: '["Ada"]',
        encryptor: null,
        data: {},
      }
      const read = async (id: unknown) => {
        const [row] = await rows(`SELECT ${Object.keys(columns).join(', ')} FROM attempts WHERE id = $1`, [id])
        return asJson(row)
      }
      const inserts = [
        (calls: NewAttempt[]) => store.insert(calls),
        (calls: NewAttempt[]) => prisma.$transaction((tx) => store.insert(calls, tx)),
      ]
      await rows('TRUNCATE attempts RESTART IDENTITY CASCADE')
      const first = await Attempt.async(Mail).send('the first')
      const { id: _id, scheduled_at: _time, ...byDefault } = await read(first.id)
      for (const insert of inserts) {
        for (const others of [[], [plain]]) {
          const [row, other] = await insert([{ ...plain, ...given }, ...others])
          expect(await read(row!.id)).toEqual(asJson(columns))
          expect(asJson(row)).toMatchObject(asJson(columns))
          if (other) expect(await read(other.id)).toMatchObject(byDefault)
          await rows('DELETE FROM attempts WHERE id <> $1', [first.id])
        }
      }
    },
  )

  it('A1: are all or nothing', async () => {
    const calls = [call('Ada'), { ...call('Eve'), method: 'delete' }]
    await expect(Attempt.createMany(calls as never)).rejects.toThrow('no method "delete"')
    expect(await rows('SELECT FROM attempts')).toEqual([])
    expect(await Attempt.createMany([])).toEqual([])
  })
})

describe('the queue follows the row', () => {
  it('A1: for what plain Prisma records, one or many, nested or not', async () => {
    await prisma.attempt.createMany({
      data: Array.from({ length: 3 }, () => ({ target: 'Mail', method: 'send', args: ['Ada'] })),
    })
    expect(await rows('SELECT count(*)::int AS n FROM graphile_worker.jobs')).toEqual([{ n: 3 }])
  })

  it('A1: for a row that is not pending there is no job', async () => {
    await prisma.attempt.create({ data: { target: 'Mail', method: 'send', status: 'succeeded' } })
    expect(await rows('SELECT FROM graphile_worker.jobs')).toEqual([])
  })

  it('A1: a status that is set back to pending by hand enqueues again', async () => {
    const { id } = await prisma.attempt.create({ data: { target: 'Mail', method: 'send', status: 'failed' } })
    await rows(`UPDATE attempts SET status = 'pending' WHERE id = $1`, [id])
    expect(await rows('SELECT key FROM graphile_worker.jobs')).toEqual([{ key: `attempt:${id}` }])
  })

  it('A13: of what is recorded while Graphile Worker is being installed, nothing fails, and the sweep enqueues it', async () => {
    await rows('ALTER SCHEMA graphile_worker RENAME TO installed')
    await rows('CREATE SCHEMA graphile_worker')
    const attempt = await Attempt.async(Mail)
      .send('Ada')
      .finally(async () => {
        await rows('DROP SCHEMA graphile_worker')
        await rows('ALTER SCHEMA installed RENAME TO graphile_worker')
      })
    expect(await rows('SELECT FROM graphile_worker.jobs')).toEqual([])
    await sweep(Attempt.db)
    expect(await rows('SELECT key FROM graphile_worker.jobs')).toEqual([{ key: `attempt:${attempt.id}` }])
  })

  it.each([
    ['attempts', () => Attempt.async(Mail).send('Ada')],
    [
      'toasts',
      () =>
        rows(`
          INSERT INTO toasts (name, key, task, refresh_at)
          VALUES ('order.total', gen_random_uuid(), 'refresh_toast', now())`),
    ],
  ])('A13: no row of %s is refused while the first worker installs Graphile Worker', async (_, record) => {
    let isInstalled = false
    const recordUntilInstalled = async () => {
      while (!isInstalled) await record()
    }
    const install = async () => {
      await runMigrations({ connectionString: url })
      isInstalled = true
    }
    await rows('ALTER SCHEMA graphile_worker RENAME TO installed')
    try {
      await Promise.all([install(), ...Array.from({ length: 5 }, recordUntilInstalled)])
      const jobs = async () => (await rows('SELECT FROM graphile_worker.jobs')).length
      const before = await jobs()
      await record()
      expect(await jobs()).toBe(before + 1)
    } finally {
      isInstalled = true
      await rows('DROP SCHEMA graphile_worker CASCADE')
      await rows('ALTER SCHEMA installed RENAME TO graphile_worker')
      await rows('TRUNCATE toasts')
    }
  })

  it('A1: claims and finishes leave the queue alone', async () => {
    const attempt = await Attempt.async(Mail).send('Ada')
    const before = await rows('SELECT revision, updated_at FROM graphile_worker.jobs')
    await attempt.perform()
    expect(await rows('SELECT revision, updated_at FROM graphile_worker.jobs')).toEqual(before)
  })
})
