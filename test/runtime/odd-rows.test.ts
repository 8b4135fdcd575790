// Rows that somebody wrote by hand, with whatever the tables take: they end, or are refused, and hold up none of the others.
import { randomBytes } from 'node:crypto'
import {
  attemptTask,
  BaseAttempt,
  defineTargets,
  hasToast,
  pruneToasts,
  refreshToastTask,
  sweep,
} from '@async-gen/runtime'
import fc from 'fast-check'
import { runOnce } from 'graphile-worker'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { queueStatistics } from '../../runtime/src/worker/queue-statistics.js'
import { retentionPeriods } from '../../runtime/src/worker/retention.js'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

const Work = { note: async (name: string) => `noted ${name}` }
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Work }) }) {}
const breakfast = hasToast(db, 'oat', 'breakfast', { compute: async ({ name }) => ({ name }) })

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
const work = () =>
  runOnce({
    connectionString: url,
    taskList: { attempt: attemptTask(Attempt), refresh_toast: refreshToastTask(db) },
    concurrency: 5,
    noHandleSignals: true,
  })
const connection = new pg.Client({ connectionString: url })
let worker: number

beforeAll(async () => {
  await connection.connect()
  await work()
  // This process is a worker that is alive.
  await Attempt.async(Work).note('Ada')
  await work()
  const [row] = await rows('SELECT max(id) AS id FROM async_workers')
  worker = row.id
})
afterEach(() => rows('TRUNCATE attempts, toasts, reports, graphile_worker._private_jobs CASCADE'))
afterAll(async () => {
  await connection.end()
  await db.close()
  await prisma.$disconnect()
})

const LARGE = 'x'.repeat(1_000_000)
const int4 = fc.oneof(fc.constantFrom(-2147483648, 2147483647, 0, 1, -1, 25), fc.integer())
/** None that the sequence comes to. */
const int8 = fc.oneof(
  fc.constantFrom('-9223372036854775808', '9223372036854775807', '0', '-1'),
  fc.bigInt(-(2n ** 63n), -1n).map(String),
)
const float8 = fc.constantFrom('NaN', 'Infinity', '-Infinity', '0', '-1', '5000', '1e300', '-1e300')
const time = fc.constantFrom(
  '-infinity',
  'infinity',
  '4713-01-01 00:00:00 BC',
  '0001-02-29 00:00:00 BC',
  '294276-12-31',
  '1970-01-01',
  'now',
  '275760-09-13',
)
const text = fc.oneof(
  fc.constantFrom('', 'Work', 'note', 'Work.note', "'; DROP TABLE attempts; --", '💥"\\\n', LARGE),
  fc.string({ unit: 'grapheme' }).map((each) => each.replaceAll('\0', '').toWellFormed()),
)
const json = fc.oneof(
  fc.constantFrom(
    '{}',
    '[]',
    'null',
    '0',
    '"text"',
    '[1]',
    '[[]]',
    '[null, 7]',
    '{"json":1,"meta":{"values":["Date"]}}',
    '{"json":[1],"meta":7}',
    '[{"encrypted":"x"}]',
  ),
  fc.json().filter((each) => !/\\u(?:0000|d[89a-f])/i.test(each)),
)
const orNull = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { freq: 3 })
const process = fc.constantFrom('alive', 'dead')

/** Each column is given or left out. */
const odd = <T extends Record<string, fc.Arbitrary<unknown>>>(columns: T, required: (keyof T & string)[]) =>
  fc.record(columns, { requiredKeys: required })

const attempt = odd(
  {
    id: int8,
    type: orNull(text),
    target: fc.oneof({ weight: 3, arbitrary: fc.constant('Work') }, { weight: 1, arbitrary: text }),
    method: fc.oneof({ weight: 3, arbitrary: fc.constant('note') }, { weight: 1, arbitrary: text }),
    args: json,
    encryptor: orNull(text),
    status: fc.constantFrom('pending', 'pending', 'running', 'succeeded', 'failed', 'expired', 'cancelled'),
    priority: int4,
    num_attempts: int4,
    max_attempts: fc.constantFrom(1, 0, -1, -2147483648, 2147483647),
    idempotence_token: orNull(text),
    scheduled_at: time,
    started_at: orNull(time.filter((each) => each !== 'now')),
    completed_at: orNull(time),
    result: orNull(json),
    errors: json,
    locked_by: orNull(process),
    parent_id: orNull(int8),
    trace_context: orNull(json),
    created_at: time,
    updated_at: time,
  },
  ['target', 'method'],
)

const toast = odd(
  {
    id: int8,
    name: fc.oneof(
      { weight: 2, arbitrary: fc.constantFrom('oat.breakfast', 'MonthlySales.build') },
      { weight: 1, arbitrary: text },
    ),
    key: fc.oneof(text, fc.constantFrom('1', '[1, 2]', '"x"', '-9', '99999999999999999999999')),
    args: orNull(json),
    epoch: int4,
    value: orNull(json),
    version: orNull(text),
    value_epoch: orNull(int4),
    cached_at: orNull(time),
    elapsed: orNull(float8),
    expires_in: orNull(float8),
    expires_at: orNull(time),
    task: fc.constantFrom('refresh_toast', 'refresh_nobody', 'refresh_report', 'attempt', `refresh_${LARGE}`),
    trace_context: orNull(json),
    refresh_at: orNull(time),
    wanted_version: orNull(text),
    wanted_epoch: int4,
    locked_by: orNull(process),
    run: int4,
    progress: orNull(float8),
    failures: int4,
    error: orNull(json),
    created_at: time,
    updated_at: time.filter((each) => each !== 'now'),
  },
  ['name', 'key', 'updated_at'],
)

/** Inserts a row as SQL would. Returns its id, or the message with which it was refused. */
async function insert(table: string, row: object): Promise<{ id?: string; refused?: string }> {
  const columns = Object.keys(row)
  const values = Object.values(row).map((value) => (value === 'alive' ? worker : value === 'dead' ? 999_999 : value))
  const list = columns.map((column) => `"${column}"`).join(', ')
  const places = columns.map((_, i) => `$${i + 1}`).join(', ')
  try {
    const { rows } = await connection.query(
      `INSERT INTO ${table} (${list}) VALUES (${places}) RETURNING id::text`,
      values,
    )
    return { id: rows[0].id }
  } catch (error) {
    return { refused: (error as Error).message }
  }
}

async function maintain() {
  await sweep(db)
  await work()
  await sweep(db)
  await work()
  await queueStatistics(db)
  await Attempt.store.prune(retentionPeriods({}))
}

const read = (found: InstanceType<typeof Attempt>) => {
  const { id, status, priority, numAttempts, scheduledAt, startedAt, completedAt, isStarted, isFinished, parentId } =
    found
  const { createdAt } = found
  if (found.encryptor === null) expect(found.errors.every(({ message }) => message !== null)).toBe(true)
  expect([scheduledAt, createdAt].every((each) => each instanceof Date)).toBe(true)
  return { id, status, priority, numAttempts, startedAt, completedAt, isStarted, isFinished, parentId }
}

describe('rows that were written by hand', () => {
  it('P13, P17: an attempt with any values ends or has an error, and all others run', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(attempt, { minLength: 15, maxLength: 25 }), async (odd) => {
        await rows('TRUNCATE attempts, graphile_worker._private_jobs CASCADE')
        const inserted = []
        for (const row of odd) inserted.push(await insert('attempts', row))
        for (const { refused } of inserted)
          if (refused !== undefined) expect(refused).toMatch(/attempts_|index row|out of range|more than 2000 bytes/)
        const healthy = await Attempt.createMany(
          ['a', 'b', 'c'].map((name) => ({ target: Work, method: 'note', args: [name] })),
        )
        await maintain()

        for (const each of healthy) expect((await each.reload()).isSucceeded).toBe(true)
        const left = await rows(`
          SELECT id FROM attempts
          WHERE status = 'running'
            OR status = 'pending' AND scheduled_at <= now() AND (jsonb_typeof(errors) <> 'array' OR errors = '[]')`)
        expect(left).toEqual([])
        for (const found of await Attempt.where({}, { limit: 1000 })) read(found)
        expect(await rows(`SELECT FROM graphile_worker.jobs WHERE last_error IS NOT NULL`)).toEqual([])
      }),
      { numRuns: 5, endOnFailure: true },
    )
  })

  it('T8, T13: a toast with any values is refreshed or has an error, and so are all others', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(toast, { minLength: 15, maxLength: 25 }), async (odd) => {
        await rows('TRUNCATE toasts, "Oat", graphile_worker._private_jobs CASCADE')
        for (const row of odd) {
          const { refused } = await insert('toasts', row)
          if (refused !== undefined) expect(refused).toMatch(/toasts_|index row/)
        }
        const oat = await prisma.oat.create({ data: { id: 700_000, name: 'steel-cut' } })
        await breakfast(oat)
        await maintain()
        expect(await breakfast(oat)).toMatchObject({ name: 'steel-cut' })
        await breakfast.expire(oat)
        await work()
        expect(await breakfast(oat)).toMatchObject({ toastr: { stale: false } })
        await pruneToasts(db).catch(() => {})

        const left = await rows(`
          SELECT task, refresh_at, locked_by FROM toasts
          WHERE task = 'refresh_toast' AND (locked_by IS NOT NULL OR refresh_at <= now() AND error IS NULL)`)
        expect(left).toEqual([])
        expect(await rows(`SELECT FROM graphile_worker.jobs WHERE last_error IS NOT NULL`)).toEqual([])
      }),
      { numRuns: 5, endOnFailure: true },
    )
  })

  it('P3: the lowest priority is enqueued last, by the trigger and by the sweep', async () => {
    for (const priority of [-2147483648, 2147483647, 0])
      await insert('attempts', { target: 'Work', method: 'note', args: '["x"]', priority })
    const priorities = () => rows('SELECT priority FROM graphile_worker.jobs ORDER BY priority')
    const expected = [{ priority: -32768 }, { priority: 0 }, { priority: 32767 }]
    expect(await priorities()).toEqual(expected)
    await rows('TRUNCATE graphile_worker._private_jobs')
    await sweep(db)
    expect(await priorities()).toEqual(expected)
  })

  it('P17: a call whose number of runs would overflow fails with an error', async () => {
    const earlier = { number: 1, name: 'Error', message: 'no answer' }
    for (const [errors, kept] of [
      ['{}', []],
      [JSON.stringify([earlier]), [earlier]],
    ] as const) {
      const { id } = await insert('attempts', { target: 'Work', method: 'note', num_attempts: 2147483647, errors })
      expect(await Attempt.perform(BigInt(id!)), 'the call does not run').toBeNull()
      await maintain()
      const attempt = await Attempt.find(BigInt(id!))
      expect(attempt).toMatchObject({ isFailed: true, numAttempts: 2147483647, completedAt: expect.any(Date) })
      expect(attempt!.errors).toMatchObject([...kept, { name: 'TooManyRuns' }])
    }
    expect(await rows('SELECT DISTINCT locked_by, jsonb_typeof(errors) AS errors FROM attempts')).toEqual([
      { locked_by: null, errors: 'array' },
    ])
  })

  it('P17: a call whose errors are no list runs, and the list says what was there', async () => {
    const { id } = await insert('attempts', { target: 'Work', method: 'note', args: '["x"]', errors: '{"code":7}' })
    expect(await Attempt.perform(BigInt(id!))).toMatchObject({ isSucceeded: true })
    expect(await rows('SELECT errors FROM attempts')).toEqual([
      {
        errors: [
          expect.objectContaining({
            name: 'InvalidErrors',
            message: 'The column errors held no list, but: {"code": 7}',
          }),
        ],
      },
    ])
  })

  it('P17: a call whose target or method is too long for the indexes is refused when it is inserted', async () => {
    const long = 'x'.repeat(1_000_000)
    for (const row of [
      { target: long, method: 'note' },
      { target: 'Work', method: long },
    ])
      expect(await insert('attempts', row)).toEqual({ refused: expect.stringContaining('have more than 2000 bytes') })

    const longest = await insert('attempts', {
      target: randomBytes(996)
        .toString('latin1')
        .replaceAll(/[^!-~]/g, 'x'),
      method: 'y'.repeat(1004),
    })
    await maintain()
    expect(await Attempt.find(BigInt(longest.id!))).toMatchObject({
      isPending: true,
      errors: expect.arrayContaining([expect.objectContaining({ code: 'UNKNOWN_TARGET' })]),
    })
  })

  it('P17: an unknown worker or report does not delay other rows', async () => {
    const workers = [
      { id: -5, host: '', pid: -1, version: '', started_at: 'infinity' },
      {
        id: 2147483647,
        host: LARGE,
        pid: 2147483647,
        version: "'",
        pool_id: "');",
        tasks: null,
        ended_at: '-infinity',
      },
    ]
    for (const row of workers) expect(await insert('async_workers', row)).toMatchObject({ id: expect.any(String) })
    for (const row of [
      { id: -5, type: '', key: '', args: 'null', created_at: '-infinity' },
      { type: 'MonthlySales', key: 'x', args: '{"json":1,"meta":7}', updated_at: 'infinity' },
    ])
      expect(await insert('reports', row)).toMatchObject({ id: expect.any(String) })
    const attempt = await Attempt.async(Work).note('Ada')
    await maintain()
    expect((await attempt.reload()).isSucceeded).toBe(true)
    expect((await db.workers()).map(({ id }) => id)).not.toContain(2147483647)
  })
})
