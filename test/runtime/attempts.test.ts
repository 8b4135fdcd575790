import { AsyncGenError, BaseAttempt, defineTargets, InvalidStateError } from '@async-gen/runtime'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'
import { countQueries } from '../support/queries.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

class Greeter {
  static async greet(name: string) {
    return `Hello, ${name}`
  }
  static async nothing() {
    return null
  }
  static async fail() {
    throw new Error('no answer', { cause: new Error('line cut') })
  }
  static async whoAmI() {
    const { attempt } = Attempt.current()
    return { id: attempt.id, numAttempts: attempt.numAttempts }
  }
  static async spawn() {
    await Attempt.async(Greeter).nothing()
  }
  static async order(number: number, { fail }: { fail: boolean }) {
    const { tx } = Attempt.current()
    await (await tx()).order.create({ data: { number, customerToken: 'tok' } })
    if (fail) throw new Error('the warehouse burnt down')
  }
  static async unstorable() {
    return () => {}
  }
}

class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Greeter }) }) {}

const inAnHour = () => new Date(Date.now() + 3_600_000)
const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
const jobOf = async ({ id }: { id: bigint }) => {
  const [job] = await rows('SELECT * FROM graphile_worker.jobs WHERE key = $1', [`attempt:${id}`])
  return job
}

afterEach(async () => {
  await prisma.attempt.deleteMany()
  await prisma.order.deleteMany()
})

describe('recording a call', () => {
  it('A1: a rollback leaves neither row nor job, a commit both', async () => {
    const record = (decline: boolean) =>
      prisma.$transaction(async (tx) => {
        const attempt = await Attempt.async(Greeter, { tx }).greet('Ada')
        if (decline) throw new Error('declined')
        return attempt
      })

    await expect(record(true)).rejects.toThrow('declined')
    expect(await prisma.attempt.count()).toBe(0)
    expect(await rows('SELECT FROM graphile_worker.jobs')).toEqual([])

    const attempt = await record(false)
    expect(await jobOf(attempt)).toMatchObject({ task_identifier: 'attempt', run_at: attempt.scheduledAt })
  })

  it('A2, A18: a row starts pending, without encryptor, and remembers target, method and arguments', async () => {
    const { id } = await Attempt.async(Greeter).greet('Ada')
    expect(await prisma.attempt.findUniqueOrThrow({ where: { id } })).toMatchObject({
      target: 'Greeter',
      method: 'greet',
      args: ['Ada'],
      encryptor: null,
      status: 'pending',
      priority: 10,
      numAttempts: 0,
      idempotenceToken: null,
      completedAt: null,
    })
  })

  it('A3: a token gives the attempt that exists, and leaves the surrounding transaction whole', async () => {
    const call = { target: Greeter, method: 'greet' as const, args: ['Ada'] as [string], idempotenceToken: 'order-1' }
    const first = await Attempt.create(call)
    const second = await prisma.$transaction(async (tx) => {
      const again = await Attempt.create(call, { tx })
      await tx.order.create({ data: { number: 4711, customerToken: 'tok' } })
      return again
    })

    expect(first.duplicate).toBe(false)
    expect(second).toMatchObject({ id: first.id, duplicate: true })
    expect(await prisma.order.count({ where: { number: 4711 } })).toBe(1)
  })

  it('A4: target, method and arguments cannot change afterwards, by any write', async () => {
    const { id } = await Attempt.async(Greeter).greet('Ada')
    for (const change of [
      `args = '["Eve"]'`,
      `target = 'x'`,
      `method = 'x'`,
      `idempotence_token = 'x'`,
      `encryptor = 'x'`,
    ]) {
      await expect(rows(`UPDATE attempts SET ${change} WHERE id = $1`, [id]), change).rejects.toThrow(
        'cannot change after creation',
      )
    }
  })

  it('P2, P3, A15: a call is scheduled with priority 20 and waits for its time', async () => {
    const attempt = await Attempt.schedule(inAnHour(), Greeter).greet('Ada')
    expect(attempt.priority).toBe(20)
    expect(await jobOf(attempt)).toMatchObject({ run_at: attempt.scheduledAt, priority: -20 })
  })

  it('A1: plain Prisma, nested writes and SQL enqueue as well', async () => {
    const parent = await prisma.attempt.create({
      data: {
        target: 'Greeter',
        method: 'greet',
        args: ['Ada'],
        children: { create: [{ target: 'Greeter', method: 'nothing' }] },
      },
      include: { children: true },
    })
    const [raw] = await rows(`INSERT INTO attempts (target, method) VALUES ('Greeter', 'nothing') RETURNING id`)
    for (const { id } of [parent, ...parent.children, raw]) expect(await jobOf({ id }), `job of ${id}`).toBeDefined()

    expect(await Attempt.perform(parent.id)).toMatchObject({ result: 'Hello, Ada' })
  })

  it('A1: a row that is made due by hand gets its job moved', async () => {
    const attempt = await Attempt.schedule(inAnHour(), Greeter).greet('Ada')
    await prisma.attempt.update({ where: { id: attempt.id }, data: { scheduledAt: new Date(0) } })
    expect((await jobOf(attempt)).run_at).toEqual(new Date(0))
  })

  it('A1, P3: a priority that is changed by hand moves the job, as far as the queue’s priorities go', async () => {
    const { id } = await Attempt.create({ target: Greeter, method: 'greet', args: ['Ada'], priority: 100_000 })
    expect(await jobOf({ id })).toMatchObject({ priority: -32768 })
    for (const [priority, expected] of [
      [50, -50],
      [-100_000, 32767],
    ] as const) {
      await prisma.attempt.update({ where: { id }, data: { priority } })
      expect(await jobOf({ id })).toMatchObject({ priority: expected })
    }
  })

  it('A1: a transaction that has ended is refused, and nothing is recorded', async () => {
    const gone = await prisma.$transaction(async (tx) => tx)
    await expect(Attempt.async(Greeter, { tx: gone }).greet('Ada')).rejects.toThrow(/Transaction/)
    expect(await prisma.attempt.count()).toBe(0)
  })

  it('keeps arguments as they were when it was called, whatever is changed before it is recorded', async () => {
    const options = { names: ['Ada'] }
    const recording = Attempt.async(Greeter).greet(options as never)
    options.names.push('Eve')
    expect((await recording).args).toEqual([{ names: ['Ada'] }])
  })

  it('A1: records nothing when what async() returns is awaited before a method of it is called', async () => {
    const greeter = await Attempt.async(Greeter)
    expect(await prisma.attempt.count()).toBe(0)
    expect((await greeter.greet('Ada')).args).toEqual(['Ada'])
  })

  it('names what is wrong with a target, a method or an argument', async () => {
    const create = (call: object) => Attempt.create(call as never)
    await expect(create({ target: class Stranger {}, method: 'x' })).rejects.toThrow('Stranger is not a target')
    await expect(create({ target: Greeter, method: 'constructor' })).rejects.toThrow('no method "constructor"')
    await expect(create({ target: Greeter, method: 'toString' })).rejects.toThrow('no method "toString"')
    await expect(create({ target: Greeter, method: 'greet', args: [() => {}] })).rejects.toThrow(
      'args[0] is a function',
    )
    expect(await prisma.attempt.count()).toBe(0)
  })
})

describe('performing', () => {
  it('A8, A9, P4: claims, counts the run, makes the call and stores what it returned', async () => {
    const attempt = await Attempt.async(Greeter).greet('Ada')
    expect(await attempt.perform()).toBe(true)
    expect(attempt).toMatchObject({ status: 'succeeded', numAttempts: 1, result: 'Hello, Ada' })
    expect(attempt.completedAt).toBeInstanceOf(Date)

    const nothing = await Attempt.async(Greeter).nothing()
    await nothing.perform()
    expect(nothing.result).toBeNull()
  })

  it('A8: a call that has succeeded is completed, and locked by no worker', async () => {
    const attempts = [await Attempt.async(Greeter).nothing(), await Attempt.async(Greeter).order(1, { fail: false })]
    for (const attempt of attempts) await attempt.perform()
    const ended = await rows(
      'SELECT status, locked_by, completed_at BETWEEN started_at AND now() AS completed FROM attempts',
    )
    const completed = { status: 'succeeded', locked_by: null, completed: true }
    expect(ended).toEqual([completed, completed])
  })

  it('A6: leaves one alone that is not due, its count too, and warns when it is due', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockReturnValue()
    onTestFinished(() => warned.mockRestore())
    const attempt = await Attempt.schedule(inAnHour(), Greeter).greet('Ada')
    expect(await attempt.perform()).toBe(false)
    expect(await Attempt.perform(attempt.id)).toBeNull()
    const at = attempt.scheduledAt.toISOString()
    expect(warned.mock.calls).toEqual([
      [`perform() did not run Attempt ${attempt.id} (Greeter.greet): it is due at ${at}.`, { code: 'ATTEMPT_NOT_DUE' }],
    ])
    expect(await prisma.attempt.findFirstOrThrow()).toMatchObject({ status: 'pending', numAttempts: 0 })
  })

  it('A7: refuses one that is not pending', async () => {
    const attempt = await Attempt.async(Greeter).greet('Ada')
    await attempt.perform()
    await expect(attempt.perform()).rejects.toThrow(InvalidStateError)
    await expect(attempt.perform()).rejects.toThrow(
      /Cannot perform Attempt \d+ \(Greeter.greet\): its status is succeeded/,
    )
  })

  it('A12, P13: of several that try at once, one makes the call', async () => {
    const { id } = await Attempt.async(Greeter).greet('Ada')
    const performed = await Promise.all(Array.from({ length: 20 }, () => Attempt.perform(id)))
    expect(performed.filter(Boolean)).toHaveLength(1)
  })

  it('A8, P5: a failed run is counted, and recorded with message, stack and cause', async () => {
    const attempt = await Attempt.async(Greeter).fail()
    await attempt.perform()

    expect(attempt).toMatchObject({ status: 'pending', numAttempts: 1, completedAt: null })
    expect(attempt.scheduledAt.getTime()).toBeGreaterThan(Date.now())
    expect(attempt.errors).toEqual([
      expect.objectContaining({
        number: 1,
        name: 'Error',
        message: 'no answer',
        stack: expect.stringContaining('attempts.test.ts'),
        cause: expect.objectContaining({ message: 'line cut' }),
        elapsed: expect.any(Number),
        worker: expect.any(Number),
      }),
    ])
  })

  it('A10: fails for good after as many runs as it has', async () => {
    const { id } = await Attempt.create({ target: Greeter, method: 'fail', maxAttempts: 2 })
    for (let run = 0; run < 2; run++) {
      await prisma.attempt.update({ where: { id }, data: { scheduledAt: new Date(0) } })
      await Attempt.perform(id)
    }
    const attempt = await Attempt.find(id)
    expect(attempt).toMatchObject({ status: 'failed', numAttempts: 2, completedAt: expect.any(Date) })
    expect(attempt?.errors.map(({ number }) => number)).toEqual([1, 2])
  })

  it('A10: a hook that does nothing leaves it pending, to be tried again', async () => {
    class Careless extends Attempt {
      override async handlePerformError() {}
    }
    const attempt = await Careless.async(Greeter).fail()
    await attempt.perform()
    expect(attempt).toMatchObject({ status: 'pending', numAttempts: 1, errors: [] })
  })

  it('A9: what a call writes through its transaction is there if, and only if, it succeeds', async () => {
    const failing = await Attempt.async(Greeter).order(1, { fail: true })
    await failing.perform()
    expect(await prisma.order.count({ where: { number: 1 } })).toBe(0)
    expect(failing.errors).toMatchObject([{ message: 'the warehouse burnt down' }])

    const succeeding = await Attempt.async(Greeter).order(2, { fail: false })
    await succeeding.perform()
    expect(succeeding.status).toBe('succeeded')
    expect(await prisma.order.count({ where: { number: 2 } })).toBe(1)
  })

  it('P7: a call sees its own attempt', async () => {
    const attempt = await Attempt.async(Greeter).whoAmI()
    await attempt.perform()
    expect(attempt.result).toEqual({ id: attempt.id, numAttempts: 1 })
    expect(() => Attempt.current()).toThrow(AsyncGenError)
  })

  it('P8: an attempt recorded inside a call has it as its parent', async () => {
    const attempt = await Attempt.async(Greeter).spawn()
    await attempt.perform()
    const child = await prisma.attempt.findFirstOrThrow({ where: { method: 'nothing' } })
    expect(child.parentId).toBe(attempt.id)
    expect((await attempt.children()).map(({ id }) => id)).toEqual([child.id])
    expect((await (await Attempt.find(child.id))?.parent())?.id).toBe(attempt.id)
    expect(await attempt.parent()).toBeNull()
  })

  it('P8: all children of an attempt are there, however many', async () => {
    const attempt = await Attempt.async(Greeter).nothing()
    await rows(
      `INSERT INTO attempts (target, method, parent_id) SELECT 'Greeter', 'nothing', $1 FROM generate_series(1, 150)`,
      [attempt.id],
    )
    expect(await attempt.children()).toHaveLength(150)
    expect(await Attempt.where({}), 'of a query, a hundred unless it asks for more').toHaveLength(100)
  })

  it('A10: a result that cannot be stored does not make the call again', async () => {
    const attempt = await Attempt.async(Greeter).unstorable()
    await attempt.perform()
    expect(attempt.status).toBe('succeeded')
    expect(attempt.result).toEqual({ notStored: expect.stringContaining('is a function') })
  })
})

describe('a migration while the worker runs', () => {
  it('A21: that adds a column leaves open connections working', async () => {
    const perform = async () => (await Attempt.async(Greeter).greet('Ada')).perform()
    // One after the other on each connection, so that every one of them has its statements prepared.
    for (let i = 0; i < 3; i++) await Promise.all(Array.from({ length: 10 }, perform))

    await rows('ALTER TABLE attempts ADD COLUMN account text')
    try {
      expect(await Promise.all(Array.from({ length: 10 }, perform))).toEqual(Array(10).fill(true))
      expect(await db.transaction((query) => Attempt.store.enqueueDue(query))).toBe(0)
    } finally {
      await rows('ALTER TABLE attempts DROP COLUMN account')
    }
    expect(await perform()).toBe(true)
  })
})

describe('ending', () => {
  it.each([
    ['expire', 'expired'],
    ['fail', 'failed'],
  ] as const)('A11: %s ends one that is pending, and refuses one that is not', async (verb, status) => {
    const attempt = await Attempt.async(Greeter).greet('Ada')
    await attempt[verb]()
    expect(attempt).toMatchObject({ status, completedAt: expect.any(Date) })

    await expect(attempt[verb]()).rejects.toThrow(InvalidStateError)
    expect(await Attempt.perform(attempt.id)).toBeNull()
  })
})

describe('the batch', () => {
  it('A13: gives a job to every due row that has none, and to no other', async () => {
    await rows('ALTER TABLE attempts DISABLE TRIGGER attempts_enqueue_inserted')
    const lost = [await Attempt.async(Greeter).greet('Ada'), await Attempt.async(Greeter).greet('Grace')]
    const future = await Attempt.schedule(inAnHour(), Greeter).greet('Alan')
    await rows('ALTER TABLE attempts ENABLE TRIGGER attempts_enqueue_inserted')

    expect(await Attempt.store.enqueueDue()).toBe(2)
    expect(await Attempt.store.enqueueDue()).toBe(0)
    for (const attempt of lost) expect(await jobOf(attempt)).toBeDefined()
    expect(await jobOf(future)).toBeUndefined()
  })

  it('A13: goes through all that is due, in the order of the ids, a thousand at a time', async () => {
    await rows(`INSERT INTO attempts (target, method) SELECT 'Greeter', 'nothing' FROM generate_series(1, 2500)`)
    await rows('DELETE FROM graphile_worker._private_jobs')

    expect(await Attempt.store.enqueueDue()).toBe(2500)
    const [jobs] = await rows(
      `SELECT count(*)::int, bool_and(id = previous + 1) AS in_order
       FROM (SELECT split_part(key, ':', 2)::int AS id, lag(split_part(key, ':', 2)::int) OVER (ORDER BY id) AS previous FROM graphile_worker.jobs) AS job`,
    )
    expect(jobs).toEqual({ count: 2500, in_order: true })
  })
})

describe('calls that run at the same time', () => {
  const perform = async (count: number) => {
    const call = { target: Greeter, method: 'nothing' as const, args: [] as [] }
    const attempts = await Attempt.createMany(Array.from({ length: count }, () => call))
    const statements = await countQueries(db, async () => {
      await Promise.all(attempts.map(({ id }) => Attempt.perform(id)))
    })
    expect(await prisma.attempt.count({ where: { status: 'succeeded' } })).toBe(count)
    return statements
  }

  it.each([
    { count: 1, most: 2 },
    { count: 50, most: 12 },
    { count: 600, most: 48 },
  ])('A8: $count of them are claimed and ended by $most statements at most', async ({ count, most }) => {
    expect(await perform(count)).toBeLessThanOrEqual(most)
  })
})
