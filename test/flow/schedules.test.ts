import { BaseAttempt, defineSchedules, defineTargets } from '@async-gen/runtime'
import { type DrainOptions, drain, recorded, testClock } from '@async-gen/runtime/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { recordOccurrences } from '../../runtime/src/attempt/schedules/record.js'
import { writeSchedules } from '../../runtime/src/attempt/schedules/write.js'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

let calls: string[] = []
const Reports = {
  send: async (team: string) => {
    calls.push(team)
  },
  day: async (day: Date) => {
    calls.push(day.toISOString())
  },
}
const targets = defineTargets({ Reports })

type Schedules = Parameters<typeof defineSchedules<{ Reports: typeof Reports }>>[1]
const send = { target: Reports, method: 'send' as const, args: ['team'] as [string] }
let inCode: Schedules = {}

class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets,
  schedules: async () => ({ schedules: defineSchedules(targets, inCode) }),
}) {}

const rows = <Row = Record<string, unknown>>(sql: string, values?: unknown[]) =>
  query(url, sql, values) as Promise<Row[]>
const times = async () =>
  (await rows<{ at: Date }>('SELECT scheduled_at AS at FROM attempts ORDER BY 1')).map(({ at }) => at.toISOString())

const run = (options: DrainOptions = {}) => drain(db, { attempts: [Attempt], ...options })

/** Lets a schedule look as if workers had recorded its occurrences until so many hours ago. */
const recordedUntil = (hours: number, name = 'job') =>
  rows(
    `UPDATE async_schedules SET next_at = NULL, recorded_until = date_trunc('hour', now()) - $1 * interval '1 hour' - interval '1 minute' WHERE name = $2`,
    [hours, name],
  )
const hourly = (name: string, options: object = {}) =>
  Attempt.setSchedule(name, { ...send, cron: '0 * * * *', ...options } as never)
const hoursAgo = (hours: number) =>
  new Date(Math.floor(Date.now() / 3_600_000) * 3_600_000 - hours * 3_600_000).toISOString()

const reset = async () => {
  calls = []
  inCode = {}
  await rows('TRUNCATE attempts, async_schedules CASCADE')
}
afterEach(reset)

describe('a schedule in code', () => {
  it('runs when the test clock has passed its time, in its time zone', async () => {
    inCode = { 'morning report': { ...send, cron: '0 7 * * *', tz: 'Asia/Tokyo' } }
    const clock = await testClock(db)
    await clock.advance('1 day')
    await run()
    await clock.reset()
    expect(calls).toEqual(['team'])
    const [attempt] = await recorded(Attempt, { target: Reports, method: 'send' })
    expect(attempt!.scheduledAt.toISOString()).toMatch(/T22:00:00.000Z$/)
    expect(attempt!.idempotenceToken).toBe(`morning report@${attempt!.scheduledAt.toISOString()}`)
    expect(attempt!.schedule).toBe('morning report')
  })

  it('runs at each of its times while drain lets the time pass', async () => {
    inCode = { sixHourly: { ...send, cron: '0 */6 * * *' } }
    await run({ until: '1 day' })
    expect(calls).toHaveLength(4)
    expect(await times()).toEqual([...new Set(await times())])
  })

  it('stores arguments with their types', async () => {
    inCode = { day: { target: Reports, method: 'day', args: [new Date('2026-01-01T00:00:00Z')], cron: '0 0 * * *' } }
    await run({ until: '1 day' })
    expect(calls).toEqual(['2026-01-01T00:00:00.000Z'])
  })

  it('that is removed from the code cancels its pending calls, and leaves those of others', async () => {
    inCode = { old: { ...send, cron: '0 * * * *' }, kept: { ...send, cron: '0 * * * *' } }
    await writeSchedules(db)
    await recordedUntil(0, 'old')
    await recordedUntil(0, 'kept')
    await recordOccurrences(db)
    inCode = { kept: inCode.kept! }
    expect((await writeSchedules(db)).removed).toEqual([{ model: 'Attempt', name: 'old' }])
    const statuses = await rows('SELECT schedule, status FROM attempts ORDER BY schedule')
    expect(statuses).toEqual([
      { schedule: 'kept', status: 'pending' },
      { schedule: 'old', status: 'cancelled' },
    ])
  })

  it('keeps how far it has come if it is written again, and starts from now with another cron', async () => {
    inCode = { job: { ...send, cron: '0 * * * *' } }
    await writeSchedules(db)
    await recordedUntil(5)
    const until = async () => (await rows<{ at: Date }>('SELECT recorded_until AS at FROM async_schedules'))[0]!.at
    const before = await until()
    await writeSchedules(db)
    expect(await until()).toEqual(before)
    inCode = { job: { ...send, cron: '30 * * * *' } }
    await writeSchedules(db)
    expect((await until()).getTime()).toBeGreaterThan(before.getTime() + 3_600_000)
  })

  it('does not replace a row of the same name, and setSchedule does not replace it', async () => {
    await hourly('mine')
    inCode = { mine: { ...send, cron: '5 * * * *' }, code: { ...send, cron: '5 * * * *' } }
    expect((await writeSchedules(db)).taken).toEqual([{ model: 'Attempt', name: 'mine' }])
    expect((await Attempt.schedules()).map(({ name, cron, inCode }) => [name, cron, inCode])).toEqual([
      ['code', '5 * * * *', true],
      ['mine', '0 * * * *', false],
    ])
    await expect(hourly('code')).rejects.toThrow('schedule.ts has a schedule of this name')
    expect(await Attempt.removeSchedule('code')).toBe(false)
  })

  it.each([
    [{ ...send, cron: '99 * * * *' }, 'The schedule "bad": cron is "99 * * * *", which is not valid'],
    [{ ...send, cron: '0 0 30 2 *' }, 'which never occurs'],
    [{ ...send, cron: 'every day' }, 'is not valid'],
    [{ ...send, cron: '0 * * * *', tz: 'Europe/Berlim' }, 'tz is "Europe/Berlim", which is no time zone'],
    [{ ...send, cron: '0 * * * *', missed: 'never' }, 'missed is "never". It must be one of: skip, once, all'],
    [{ ...send, cron: '0 * * * *', overlap: 'no' }, 'overlap is "no"'],
    [{ ...send, cron: '0 * * * *', every: 'day' }, 'it has no option "every"'],
    [{ ...send, method: 'sned', cron: '0 * * * *' }, 'has no method "sned"'],
    [{ ...send, target: {}, cron: '0 * * * *' }, 'is not a target'],
    [{ ...send, args: 'team', cron: '0 * * * *' }, 'args is team. It must be a list'],
  ])('that is not valid is an error at the start: %j', async (schedule, message) => {
    inCode = { bad: schedule as never }
    await expect(writeSchedules(db)).rejects.toThrow(message)
  })

  it('is checked by the compiler', () => {
    defineSchedules(targets, {
      // @ts-expect-error: the method has another name
      a: { target: Reports, method: 'sned', args: ['team'], cron: '0 * * * *' },
      // @ts-expect-error: the argument is a text
      b: { target: Reports, method: 'send', args: [1], cron: '0 * * * *' },
      // @ts-expect-error: the argument is missing
      c: { target: Reports, method: 'send', cron: '0 * * * *' },
      // @ts-expect-error: there is no such policy
      d: { target: Reports, method: 'send', args: ['team'], cron: '0 * * * *', missed: 'never' },
    })
  })
})

describe('occurrences that were missed', () => {
  it.each([
    ['skip', 0],
    ['once', 1],
    ['all', 720],
  ] as const)('of a month, with missed: %s, are %i runs', async (missed, runs) => {
    await hourly('job', { missed })
    await recordedUntil(719)
    const minute = new Date().getUTCMinutes()
    await recordOccurrences(db)
    const found = await times()
    // In the first minute of an hour, its occurrence is on time.
    if (minute > 0) expect(found).toHaveLength(runs)
    if (missed !== 'skip') expect(found.at(-1)).toBe(hoursAgo(0))
    await recordOccurrences(db)
    expect(await times()).toEqual(found)
  })

  it('are not recorded a second time after the clock was set back', async () => {
    await hourly('job', { missed: 'all' })
    await recordedUntil(3)
    await recordOccurrences(db)
    expect(await times()).toHaveLength(4)
    await recordedUntil(3)
    await recordOccurrences(db)
    expect(await times()).toHaveLength(4)
    // The clock was a year ahead.
    await rows(
      `UPDATE async_schedules SET recorded_until = now() + interval '1 year', next_at = now() + interval '1 year'`,
    )
    await writeSchedules(db)
    await recordOccurrences(db)
    const [schedule] = await Attempt.schedules()
    expect(schedule!.nextAt!.toISOString()).toBe(hoursAgo(-1))
  })

  it('are recorded once by many at the same time', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, i) => hourly(`job ${i}`, { missed: 'all' })))
    for (let i = 0; i < 20; i++) await recordedUntil(9, `job ${i}`)
    const recordedBy = await Promise.all(Array.from({ length: 8 }, () => recordOccurrences(db)))
    expect(recordedBy.reduce((sum, { recorded }) => sum + recorded, 0)).toBe(200)
    expect(await times()).toHaveLength(200)
  })
})

describe('an occurrence while the one before has not ended', () => {
  it('is recorded with overlap: allow', async () => {
    await hourly('job', { overlap: 'allow', missed: 'all' })
    await recordedUntil(1)
    await recordOccurrences(db)
    expect(await times()).toEqual([hoursAgo(1), hoursAgo(0)])
  })

  it('is left out with overlap: skip, until the one before has ended', async () => {
    await hourly('job', { overlap: 'skip' })
    await rows(
      `INSERT INTO attempts (target, method, args, schedule, status) VALUES ('Reports', 'send', '["x"]', 'job', 'running')`,
    )
    await recordedUntil(0)
    await recordOccurrences(db)
    expect(await times()).toHaveLength(1)
    await rows(`UPDATE attempts SET status = 'succeeded', completed_at = now()`)
    await recordOccurrences(db)
    expect(await times()).toHaveLength(1)
    await recordedUntil(0)
    await recordOccurrences(db)
    expect(await times()).toHaveLength(2)
  })

  it('is recorded when the one before has ended with overlap: wait', async () => {
    await hourly('job', { overlap: 'wait', missed: 'skip' })
    await rows(
      `INSERT INTO attempts (target, method, args, schedule, status) VALUES ('Reports', 'send', '["x"]', 'job', 'running')`,
    )
    await rows(
      `UPDATE async_schedules SET waiting = true, next_at = 'infinity', recorded_until = date_trunc('hour', now()) - interval '1 minute'`,
    )
    await recordOccurrences(db)
    expect(await times()).toHaveLength(1)
    expect((await Attempt.schedules())[0]).toMatchObject({ waiting: true, nextAt: null })
    await rows(`UPDATE attempts SET status = 'failed', completed_at = now()`)
    await recordOccurrences(db)
    expect(await times()).toContain(hoursAgo(0))
    expect((await Attempt.schedules())[0]).toMatchObject({ waiting: false, nextAt: new Date(hoursAgo(-1)) })
  })

  it('runs one after the other with overlap: wait and missed: all', async () => {
    await hourly('job', { overlap: 'wait', missed: 'all' })
    await recordedUntil(2)
    for (const runs of [1, 2, 3, 3]) {
      await recordOccurrences(db)
      await recordOccurrences(db)
      expect(await times()).toHaveLength(runs)
      await rows(`UPDATE attempts SET status = 'succeeded', completed_at = now()`)
    }
  })
})

describe('a row of async_schedules', () => {
  it('that Prisma creates, changes and deletes is followed without a restart', async () => {
    const key = { model_name: { model: 'Attempt', name: 'customer 7' } }
    await prisma.asyncSchedule.create({
      data: {
        model: 'Attempt',
        name: 'customer 7',
        target: 'Reports',
        method: 'send',
        args: ['seven'],
        cron: '0 0 1 1 *',
      },
    })
    await recordOccurrences(db)
    const next = async () => (await Attempt.schedules())[0]?.nextAt?.toISOString()
    expect(await next()).toMatch(/-01-01T00:00:00/)
    await prisma.asyncSchedule.update({ where: key, data: { cron: '0 0 2 1 *', tz: 'Asia/Tokyo' } })
    await recordOccurrences(db)
    expect(await next()).toMatch(/-01-01T15:00:00/)
    await rows(
      `INSERT INTO attempts (target, method, args, schedule) VALUES ('Reports', 'send', '["x"]', 'customer 7')`,
    )
    await prisma.asyncSchedule.delete({ where: key })
    await writeSchedules(db)
    expect(await rows('SELECT status FROM attempts')).toEqual([{ status: 'cancelled' }])
  })

  it('that is not valid is reported, and the others go on', async () => {
    await rows(`INSERT INTO async_schedules (model, name, target, method, args, cron, tz, missed) VALUES
      ('Attempt', 'a', 'Reports', 'send', '["x"]', 'nonsense', 'UTC', 'once'),
      ('Attempt', 'b', 'Reports', 'send', '["x"]', '0 * * * *', 'Nowhere', 'once'),
      ('Attempt', 'c', 'Reports', 'send', '{"x": 1}', '0 * * * *', 'UTC', 'once'),
      ('Attempt', 'd', 'Reports', 'send', '["x"]', '0 * * * *', 'UTC', 'sometimes'),
      ('Attempt', 'e', 'Nothing', 'send', '["x"]', '0 * * * *', 'UTC', 'once'),
      ('Attempt', E'f \\n'';DROP "', 'Reports', 'send', '["x"]', '0 * * * *', 'UTC', 'once')`)
    await rows(`UPDATE async_schedules SET recorded_until = now() - interval '2 hours'`)
    const { problems } = await recordOccurrences(db)
    expect(problems.map(({ name }) => name).sort()).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(await rows('SELECT schedule FROM attempts')).toEqual([{ schedule: `f \n';DROP "` }])
    expect((await recordOccurrences(db)).problems).toEqual([])
    await rows(`UPDATE async_schedules SET cron = '0 * * * *' WHERE name = 'a'`)
    await recordOccurrences(db)
    expect((await Attempt.schedules())[0]).toMatchObject({ name: 'a', error: null })
  })

  it('that one worker cannot use is looked at again, because another version of the code may know it', async () => {
    await hourly('job')
    await rows(`UPDATE async_schedules SET tz = 'Mars/Olympus'`)
    expect((await recordOccurrences(db)).problems).toHaveLength(1)
    const [{ wait }] = (await rows<{ wait: number }>(
      'SELECT extract(epoch FROM next_at - now())::float8 AS wait FROM async_schedules',
    )) as [{ wait: number }]
    expect(wait).toBeGreaterThan(30)
    expect(wait).toBeLessThan(90)
  })

  it('whose times were written by hand does no harm to the others', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await hourly(name)
    await recordedUntil(2, 'd')
    await rows(`UPDATE async_schedules SET next_at = NULL, recorded_until = '-infinity' WHERE name = 'a'`)
    await rows(`UPDATE async_schedules SET next_at = '-infinity', recorded_until = '4000-01-01 BC' WHERE name = 'b'`)
    await rows(`UPDATE async_schedules SET next_at = NULL, recorded_until = 'infinity' WHERE name = 'c'`)
    expect((await recordOccurrences(db)).problems).toEqual([])
    const found = await rows('SELECT DISTINCT schedule FROM attempts ORDER BY 1')
    expect(found).toEqual([{ schedule: 'a' }, { schedule: 'b' }, { schedule: 'd' }])
    expect((await Attempt.schedules()).map(({ nextAt }) => nextAt)).toEqual(
      Array.from({ length: 4 }, () => expect.any(Date)),
    )
  })

  it('of setSchedule exists only if its transaction commits', async () => {
    const abort = prisma.$transaction(async (tx) => {
      await Attempt.setSchedule('in tx', { ...send, args: ['x'], cron: '0 * * * *' }, { tx })
      throw new Error('rolled back')
    })
    await expect(abort).rejects.toThrow('rolled back')
    expect(await Attempt.schedules()).toEqual([])
    await prisma.$transaction((tx) => Attempt.setSchedule('in tx', { ...send, args: ['x'], cron: '0 * * * *' }, { tx }))
    expect(await Attempt.schedules()).toHaveLength(1)
    expect(await Attempt.removeSchedule('in tx')).toBe(true)
  })
})
