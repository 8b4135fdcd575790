// What calls throw and return that nobody thought of, rows that were changed by hand, and neighbours that are in the way.
import { setTimeout as sleep } from 'node:timers/promises'
import { BaseAttempt, connect, defineTargets, sweep } from '@async-gen/runtime'
import pg from 'pg'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { query } from '../support/postgres.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

const ring = new Error('ring')
ring.cause = ring
const crowd: Error = new AggregateError(
  Array.from({ length: 1000 }, (_, i) => new Error(`${i}`)),
  'crowd',
)

/** What is thrown, and the message that is kept of it. */
const THROWN: Record<string, [thrown: unknown, message: string]> = {
  undefined: [undefined, 'undefined'],
  'a frozen object': [Object.freeze({ code: 7 }), '{"code":7}'],
  'a bigint': [5n, '5'],
  'a symbol': [Symbol('x'), 'Symbol(x)'],
  'text with U+0000': [new Error('a\0b'), 'a\ufffdb'],
  'text with half a surrogate pair': [`a\ud800b`, 'a\ufffdb'],
  'a stack that cannot be read': [
    Object.defineProperty(new Error('kept'), 'stack', {
      get: () => {
        throw new Error('no stack')
      },
    }),
    'kept',
  ],
  'a proxy that refuses everything': [
    new Proxy(new Error('hidden'), {
      get: () => refuse(),
      getPrototypeOf: () => refuse(),
    }),
    'The thrown value cannot be described',
  ],
  'a ring of causes': [ring, 'ring'],
}

/** What is returned, and the text that is kept in its place. */
const UNSTORABLE: Record<string, [returned: unknown, notStored: string]> = {
  'a function': [() => 1, 'The result is a function'],
  'a class instance': [{ at: new (class Order {})() }, 'The result.at is an instance of Order'],
  'more than fits': ['x'.repeat(9_000_000), 'The result takes 8.6 MB of JSON'],
  'a getter that throws nothing': [
    {
      get trap() {
        throw undefined
      },
    },
    'undefined',
  ],
  'a RegExp of U+0000': [new RegExp(String.fromCharCode(0)), 'The result contains text that PostgreSQL cannot store'],
  'a nesting without end': [nest(100_000), 'Maximum call stack size exceeded'],
}

function refuse(): never {
  throw new Error('refused')
}

function nest(levels: number): unknown {
  return Array.from({ length: levels }).reduce((inner) => [inner], 'core')
}

let made: unknown[] = []
let signals: AbortSignal[] = []
let holding: Array<() => void> = []
const hold = () => new Promise<void>((resolve) => holding.push(resolve))

/** What a call that is held does besides. */
type Then = 'write' | 'spawn' | 'fail' | 'snooze'

const Odd = {
  fail: async (how: keyof typeof THROWN) => {
    throw THROWN[how]![0]
  },
  failHugely: async (how: 'text' | 'crowd') => {
    throw how === 'crowd' ? crowd : new Error('x'.repeat(20_000_000))
  },
  give: async (what: keyof typeof UNSTORABLE) => {
    made.push(what)
    return UNSTORABLE[what]![0]
  },
  note: async (...args: unknown[]) => {
    made.push(args)
    return args[0]
  },
  hold: async (then?: Then) => {
    const { signal, tx, snooze } = Attempt.current()
    signals.push(signal)
    if (then === 'write') await (await tx()).order.create({ data: { number: 1, customerToken: 'tok' } })
    await hold()
    if (then === 'spawn') await Attempt.async(Odd).note('child')
    if (then === 'fail') throw new Error('late')
    return then === 'snooze' ? snooze('1 minute') : undefined
  },
  linger: async () => {
    const { tx } = Attempt.current()
    setTimeout(() => {
      made.push(tx().catch((error: Error) => error.message))
    }, 50)
  },
  lingerCarelessly: async () => {
    const { tx } = Attempt.current()
    setTimeout(() => {
      void tx()
      made.push('asked')
    }, 20)
  },
}
const targets = defineTargets({ Odd })
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
const states = () => rows('SELECT method, status::text, count(*)::int FROM attempts GROUP BY 1, 2 ORDER BY 1, 2')
const work = (Type: typeof Attempt) => runJobs(url, Type)

afterEach(async () => {
  for (const release of holding) release()
  made = []
  signals = []
  holding = []
  await rows('TRUNCATE attempts, graphile_worker._private_jobs CASCADE')
})

describe('a call that throws', () => {
  it.each(Object.entries(THROWN))('P5: %s, leaves what can be said of it and goes on', async (how, [, message]) => {
    const attempt = await Attempt.async(Odd).fail(how)
    await attempt.perform()
    expect(attempt).toMatchObject({ status: 'pending', numAttempts: 1, errors: [{ number: 1, message }] })
  })

  it('P5: a ring of causes, is told once', async () => {
    const attempt = await Attempt.async(Odd).fail('a ring of causes')
    await attempt.perform()
    expect(attempt.errors[0]).not.toHaveProperty('cause')
  })

  it('P5: megabytes, does not fill the row with them', async () => {
    for (const how of ['text', 'crowd'] as const) {
      const attempt = await Attempt.async(Odd).failHugely(how)
      await attempt.perform()
      expect(attempt.status).toBe('pending')
      expect(JSON.stringify(attempt.errors).length, how).toBeLessThan(100_000)
    }
    const [text] = await Attempt.where({ method: 'failHugely' })
    expect(text!.errors[0]!.errors).toHaveLength(20)
  })
})

describe('a call that returns', () => {
  it.each(Object.entries(UNSTORABLE))(
    'P4: %s, was made, once, and says why it is not kept',
    async (what, [, reason]) => {
      const attempt = await Attempt.async(Odd).give(what)
      await attempt.perform()
      expect(attempt).toMatchObject({ status: 'succeeded', result: { notStored: expect.stringContaining(reason) } })
      expect(made).toEqual([what])
    },
  )

  it('P7: and asks for its transaction afterwards, is told that it is too late', async () => {
    const attempt = await Attempt.async(Odd).linger()
    await attempt.perform()
    await eventually('the late question', async () => made.length > 0)
    expect(await made[0]).toBe('The call has ended. Await everything that it starts before it returns.')
  })

  it('P7: and asks for its transaction afterwards without awaiting it, causes no unhandled rejection', async () => {
    const unhandled: unknown[] = []
    const listener = (reason: unknown) => void unhandled.push(reason)
    process.on('unhandledRejection', listener)
    await (await Attempt.async(Odd).lingerCarelessly()).perform()
    await eventually('the late question', async () => made.length > 0)
    await sleep(20)
    process.off('unhandledRejection', listener)
    expect(unhandled).toEqual([])
  })
})

describe('the hook of a failed run', () => {
  it('A10: that throws has no job left behind, and is told of', async () => {
    class Raising extends Attempt {
      override async handlePerformError(error: unknown) {
        await super.handlePerformError(error)
        throw new Error('the pager is down')
      }
    }
    const { id } = await Attempt.async(Odd).fail('undefined')
    await work(Raising)
    expect(await Attempt.find(id)).toMatchObject({ status: 'pending', errors: [{ message: 'undefined' }] })
    // Others of this table may still have a job.
    expect(await rows(`SELECT attempts, last_error FROM graphile_worker.jobs WHERE key = 'attempt:${id}'`)).toEqual([
      { attempts: 0, last_error: null },
    ])
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY, -1000, 1e300])(
    'A10: a retryDelay of %s is as if there were none',
    async (delay) => {
      class Odder extends Attempt {
        override retryDelay() {
          return delay
        }
      }
      const { id } = await Odder.async(Odd).fail('undefined')
      const attempt = await Odder.perform(id)
      expect(attempt).toMatchObject({ status: 'pending', errors: [{ message: 'undefined' }] })
      const seconds = (attempt!.scheduledAt.getTime() - attempt!.updatedAt.getTime()) / 1000
      expect(Math.round(seconds), 'two, give or take a fifth').toBe(2)
    },
  )

  it('A10: a retryDelay that throws does not lose the run', async () => {
    class Odder extends Attempt {
      override retryDelay(): number {
        throw new Error('no idea')
      }
    }
    const attempt = await Odder.async(Odd).fail('undefined')
    await expect(attempt.perform()).rejects.toThrow('no idea')
    expect(await Attempt.find(attempt.id)).toMatchObject({ status: 'pending', errors: [{ message: 'undefined' }] })
  })
})

describe('options that are odd', () => {
  const create = (options: object) => Attempt.create({ target: Odd, method: 'note', ...options } as never)

  it.each([
    [{ scheduledAt: new Date('soon') }, 'scheduledAt is Invalid Date'],
    [{ scheduledAt: null }, 'scheduledAt is null'],
    [{ priority: Number.NaN }, 'priority is NaN'],
    [{ maxAttempts: 0 }, 'maxAttempts is 0'],
    [{ maxAttempts: 2.5 }, 'maxAttempts is 2.5'],
  ])('A15: %o is refused, rather than made into “now” or a default', async (options, message) => {
    await expect(create(options)).rejects.toThrow(message)
    expect(await rows('SELECT FROM attempts')).toEqual([])
  })

  it('A3: a token of null is none', async () => {
    const call = { target: Odd, method: 'note', idempotenceToken: null }
    const attempts = await Attempt.createMany([call, call] as never)
    expect(attempts.map(({ duplicate }) => duplicate)).toEqual([false, false])
    expect(new Set(attempts.map(({ id }) => id)).size).toBe(2)
  })

  it('P2: a schedule without a priority has the one of a schedule', async () => {
    const attempt = await Attempt.schedule(new Date(), Odd, { priority: undefined }).note()
    expect(attempt.priority).toBe(20)
  })

  it('A1: arguments are those of the moment of the call', async () => {
    const order = { number: 1 }
    const recording = Attempt.async(Odd).note(order)
    order.number = 2
    expect((await recording).args).toEqual([{ number: 1 }])
  })
})

describe('a row that was changed by hand', () => {
  const begun = async (then?: Then, Type = Attempt) => {
    const { id } = await Attempt.async(Odd).hold(then)
    const running = Type.perform(id)
    await eventually('the call', async () => holding.length > 0)
    const end = async () => {
      holding[0]!()
      return await running
    }
    return { id, end }
  }

  it('A9, P9: to cancelled while it runs, stays cancelled, and what the call wrote is rolled back', async () => {
    const handled: unknown[] = []
    class Handling extends Attempt {
      override async handlePerformError(error: unknown) {
        handled.push(error)
      }
    }
    const { id, end } = await begun('write', Handling)
    await prisma.attempt.update({ where: { id }, data: { status: 'cancelled' } })
    expect(await end()).toMatchObject({ status: 'cancelled' })
    expect((await Attempt.find(id))?.status).toBe('cancelled')
    expect(await rows('SELECT FROM "Order"')).toEqual([])
    const open = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'`
    expect(await rows(open), 'and its transaction is closed').toEqual([])
    expect(handled, 'and is no failure').toEqual([])
  })

  it.each([undefined, 'fail', 'snooze'] as const)(
    'P9: to cancelled while it runs, stays cancelled, also if the call ends with: %s',
    async (then) => {
      const { id, end } = await begun(then)
      await rows(`UPDATE attempts SET status = 'cancelled' WHERE id = $1`, [id])
      await end()
      expect(await Attempt.find(id)).toMatchObject({ status: 'cancelled', numAttempts: 1, snoozes: 0 })
    },
  )

  it('P9: to expired while it runs, stays expired, though the call fails', async () => {
    const { id, end } = await begun('fail')
    await rows(`UPDATE attempts SET status = 'expired' WHERE id = $1`, [id])
    expect(await end()).toMatchObject({ status: 'expired', errors: [] })
  })

  it('P9: and deleted while it runs, is dropped without an error, and what it records has no parent', async () => {
    const { id, end } = await begun('spawn')
    await prisma.attempt.delete({ where: { id } })
    await end()
    expect(await rows('SELECT method, parent_id FROM attempts')).toEqual([{ method: 'note', parent_id: null }])
  })

  it('P17: to running, though nobody runs it, is taken back, or fails if that was its last run', async () => {
    await rows(`
      INSERT INTO attempts (target, method, status, num_attempts, max_attempts)
      VALUES ('Odd', 'note', 'running', 2, 3), ('Odd', 'note', 'running', 3, 3)`)
    expect((await sweep(db)).rescued).toBe(2)
    const [last, goesOn] = await Attempt.where({ method: 'note' })
    expect(last).toMatchObject({ status: 'failed', completedAt: expect.any(Date), errors: [{ name: 'WorkerDied' }] })
    expect(goesOn).toMatchObject({
      status: 'pending',
      completedAt: null,
      errors: [{ number: 2, worker: null, elapsed: 0 }],
    })
    await goesOn!.perform()
    expect(goesOn).toMatchObject({ status: 'succeeded', numAttempts: 3 })
  })

  it('P17: to running, with any times and errors, is taken back, keeps its place, and is due', async () => {
    const insert = (scheduledAt: string, startedAt: string, errors: unknown) =>
      rows(
        `INSERT INTO attempts (target, method, status, locked_by, num_attempts, scheduled_at, started_at, errors)
        VALUES ('Odd', 'note', 'running', 2000000000, 1, $1, $2::text::timestamptz, $3)`,
        [scheduledAt, startedAt, JSON.stringify(errors)],
      )
    const earlier = { number: 0, message: 'earlier' }
    await insert('2026-01-01T00:00:00Z', new Date(Date.now() - 60_000).toISOString(), [earlier])
    await insert('infinity', '-infinity', { message: 'no list' })
    await sweep(db)
    const [second, first] = await Attempt.where({})
    const died = { number: 1, name: 'WorkerDied', worker: 2_000_000_000 }
    const started = { ...died, elapsed: expect.closeTo(60, -1) }
    expect(first).toMatchObject({ isDue: true, scheduledAt: new Date('2026-01-01'), errors: [earlier, started] })
    expect(second).toMatchObject({ isDue: true, errors: [{ ...died, elapsed: 0 }] })
    expect(await rows('SELECT DISTINCT status, locked_by, jsonb_typeof(errors) AS errors FROM attempts')).toEqual([
      { status: 'pending', locked_by: null, errors: 'array' },
    ])
  })

  it.each(['"no"', '{"a": 1}', 'null', '5'])('A2: with the args %s, fails for good and is not called', async (args) => {
    const [{ id }] = await rows(
      `INSERT INTO attempts (target, method, args) VALUES ('Odd', 'note', $1::jsonb) RETURNING id::int`,
      [args],
    )
    expect(await Attempt.perform(BigInt(id))).toMatchObject({
      status: 'failed',
      errors: [{ name: 'PermanentError', message: expect.stringContaining('no JSON array') }],
    })
    expect(made).toEqual([])
  })

  it('A15: to infinity, is never due, and says so as a Date', async () => {
    const { id } = await Attempt.async(Odd).note()
    await rows(`UPDATE attempts SET scheduled_at = 'infinity' WHERE id = $1`, [id])
    const attempt = await Attempt.find(id)
    expect(await attempt?.perform()).toBe(false)
    expect(attempt?.scheduledAt.getTime()).toBe(8.64e15)
  })

  it('A8: beyond its runs, has one more', async () => {
    const { id } = await Attempt.async(Odd).fail('undefined')
    await rows('UPDATE attempts SET num_attempts = 99 WHERE id = $1', [id])
    expect(await Attempt.perform(id)).toMatchObject({ status: 'failed', numAttempts: 100 })
  })
})

describe('a superseded run', () => {
  const elsewhere = connect(prisma, { connectionString: url })
  class Elsewhere extends BaseAttempt(elsewhere, { model: 'Attempt', table: 'attempts', targets }) {}
  afterAll(() => elsewhere.close())

  it.each([
    ['here', Attempt, 1],
    ['elsewhere', Elsewhere, 1],
    ['elsewhere, after the count was set back by hand', Elsewhere, 0],
  ] as const)('P13, P17: and goes on %s, is ended by nobody but the run that goes on', async (_, Next, count) => {
    for (const how of ['fail', 'snooze', undefined] as const) {
      const { id } = await Attempt.async(Odd).hold(how)
      const first = Attempt.perform(id)
      await eventually('the first run', async () => holding.length === 1)
      await rows(`UPDATE attempts SET status = 'pending', locked_by = NULL, num_attempts = $1 WHERE id = $2`, [
        count,
        id,
      ])
      const second = Next.perform(id)
      await eventually('the second run', async () => holding.length === 2)
      holding[0]!()
      await first
      expect(await Attempt.find(id), how).toMatchObject({ status: 'running', numAttempts: count + 1, errors: [] })
      holding[1]!()
      expect(await second, how).toMatchObject({ status: how ? 'pending' : 'succeeded' })
      holding = []
    }
  })

  describe('is no success and no failure', () => {
    const ends: string[] = []
    class Counting extends Attempt {
      override async handleSuccess() {
        ends.push('success')
      }
      override async handlePerformError() {
        ends.push('failure')
      }
    }
    /** A run that ends after something else has happened to its row. */
    const superseded = async (act: (id: bigint) => Promise<unknown>) => {
      ends.length = 0
      const { id } = await Attempt.async(Odd).hold()
      const run = Counting.perform(id)
      await eventually('the run', async () => holding.length === 1)
      await act(id)
      holding[0]!()
      await run
    }

    it('A8: though the run that goes on has succeeded', async () => {
      await (await Attempt.async(Odd).note('another attempt that has succeeded')).perform()
      await superseded(async (id) => {
        await rows(`UPDATE attempts SET status = 'pending', locked_by = NULL WHERE id = $1`, [id])
        const second = Elsewhere.perform(id)
        await eventually('the second run', async () => holding.length === 2)
        holding[1]!()
        expect(await second).toMatchObject({ status: 'succeeded', numAttempts: 2 })
      })
      expect(ends).toEqual([])
    })

    it('A8: if its row was deleted', async () => {
      await superseded((id) => prisma.attempt.delete({ where: { id } }))
      expect(ends).toEqual([])
    })
  })

  it('P9, P17: neither lets the next one go, nor takes its signal, in the same process', async () => {
    const { id } = await Attempt.async(Odd).hold()
    const first = Attempt.perform(id)
    await eventually('the first run', async () => holding.length === 1)
    await (await Attempt.find(id))!.cancel()
    await (await Attempt.find(id))!.retry()
    const second = Attempt.perform(id)
    await eventually('the second run', async () => holding.length === 2)

    holding[0]!()
    await first
    await rows(`UPDATE attempts SET started_at = now() - interval '2 minutes'`)
    expect(await Attempt.store.rescue()).toBe(0)

    await (await Attempt.find(id))!.cancel()
    await eventually('the signal', async () => signals.at(-1)!.aborted)
    holding[1]!()
    expect(await second).toMatchObject({ status: 'cancelled', numAttempts: 2 })
  })
})

describe('neighbours', () => {
  /** Locks a row as somebody does who has begun a transaction in psql, and gone for lunch. */
  async function lockedByHand(id: bigint, act: () => Promise<void>) {
    const psql = new pg.Client({ connectionString: url })
    await psql.connect()
    await psql.query('BEGIN')
    await psql.query('SELECT FROM attempts WHERE id = $1 FOR UPDATE', [id])
    try {
      await act()
    } finally {
      await psql.query('ROLLBACK')
      await psql.end()
    }
  }

  it('P13: a row that somebody has locked holds up no claim of another, and is found again', async () => {
    const [locked, free] = await Attempt.createMany([
      { target: Odd, method: 'note', args: ['locked'] },
      { target: Odd, method: 'note', args: ['free'] },
    ])
    await lockedByHand(locked!.id, async () => {
      await work(Attempt)
      expect(await free!.reload()).toMatchObject({ status: 'succeeded' })
      expect(await locked!.reload()).toMatchObject({ status: 'pending', numAttempts: 0 })
    })
    await sweep(db)
    await work(Attempt)
    expect(await locked!.reload()).toMatchObject({ status: 'succeeded' })
  })

  it('P13: a row that is locked for a moment is claimed after it, without the sweep', async () => {
    const attempt = await Attempt.async(Odd).note('a moment')
    let performed: Promise<boolean> | undefined
    await lockedByHand(attempt.id, async () => {
      performed = attempt.perform()
      await new Promise((resolve) => setTimeout(resolve, 300))
    })
    expect(await performed).toBe(true)
  })

  it('P13: nor the end of another, and its own end waits', async () => {
    const { id } = await Attempt.async(Odd).hold()
    const running = Attempt.perform(id)
    await eventually('the call', async () => holding.length > 0)
    await lockedByHand(id, async () => {
      holding[0]!()
      const other = await Attempt.async(Odd).note('other')
      await other.perform()
      expect(await states()).toEqual([
        { method: 'hold', status: 'running', count: 1 },
        { method: 'note', status: 'succeeded', count: 1 },
      ])
    })
    expect(await running).toMatchObject({ status: 'succeeded' })
  })

  it('P17: nor the sweep', async () => {
    await rows(`
      INSERT INTO attempts (target, method, status, locked_by)
      SELECT 'Odd', 'note', 'running', 2000000000 FROM generate_series(1, 2)`)
    const [{ id }] = await rows('SELECT id FROM attempts LIMIT 1')
    await lockedByHand(id, async () => {
      expect((await sweep(db)).rescued).toBe(1)
    })
    expect((await sweep(db)).rescued).toBe(1)
  })

  it('P4: a row that the database refuses to end takes none of its batch with it', async () => {
    await rows(`
      CREATE FUNCTION refuse_six() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not six'; END $$;
      CREATE TRIGGER refuse_six BEFORE UPDATE ON attempts FOR EACH ROW WHEN (NEW.result = '6') EXECUTE FUNCTION refuse_six()`)
    try {
      const attempts = await Attempt.createMany(
        [1, 6, 2, 3].map((number) => ({ target: Odd, method: 'note' as const, args: [number] })),
      )
      await Promise.all(attempts.map(({ id }) => Attempt.perform(id)))
      const after = await Promise.all(attempts.map((attempt) => attempt.reload()))
      expect(after.map(({ status }) => status)).toEqual(['succeeded', 'pending', 'succeeded', 'succeeded'])
      expect(after[1]!.errors).toMatchObject([{ message: 'not six' }])
      expect(made).toHaveLength(4)
    } finally {
      await rows('DROP FUNCTION refuse_six CASCADE')
    }
  })

  it('P13: a row that the database refuses to claim takes none of its batch with it', async () => {
    const attempts = await Attempt.createMany(
      [1, 2, 3].map((i) => ({ target: Odd, method: 'note' as const, args: [i] })),
    )
    await rows(`
      CREATE FUNCTION refuse_claim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$;
      CREATE TRIGGER refuse_claim BEFORE UPDATE ON attempts FOR EACH ROW WHEN (NEW.args = '[2]') EXECUTE FUNCTION refuse_claim()`)
    try {
      const claimed = await Promise.allSettled(attempts.map(({ id }) => Attempt.perform(id)))
      expect(claimed.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect(made.flat().sort(), 'in whatever order').toEqual([1, 3])
    } finally {
      await rows('DROP FUNCTION refuse_claim CASCADE')
    }
  })
})

describe('several models', () => {
  const other = connect(prisma, { connectionString: url })
  class Letter extends BaseAttempt(other, { model: 'Attempt', table: 'letters', targets: defineTargets({ Odd }) }) {}
  afterAll(() => other.close())

  it('A17, P8: a call of one that records a call of the other is not its parent: their ids have nothing in common', async () => {
    await rows(`
      CREATE TABLE letters (LIKE attempts INCLUDING ALL);
      ALTER TABLE letters ALTER id DROP DEFAULT, ALTER id ADD GENERATED BY DEFAULT AS IDENTITY`)
    const Post = {
      write: async () => {
        await Letter.async(Odd).note()
        await Both.async(Post).sign()
      },
      sign: async () => {},
    }
    class Both extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Post }) }) {}
    const attempt = await Both.async(Post).write()
    await rows(`INSERT INTO letters (id, target, method) VALUES ($1, 'Odd', 'note')`, [attempt.id])
    await attempt.perform()
    expect(attempt).toMatchObject({ status: 'succeeded' })
    expect(await rows('SELECT parent_id FROM letters')).toEqual([{ parent_id: null }, { parent_id: null }])
    expect((await attempt.children()).map(({ method }) => method)).toEqual(['sign'])
  })
})
