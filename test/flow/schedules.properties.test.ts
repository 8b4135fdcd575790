import { setTimeout as sleep } from 'node:timers/promises'
import { BaseAttempt, connect, defineTargets } from '@async-gen/runtime'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { occurrencesOf } from '../../runtime/src/attempt/schedules/cron.js'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { REPOSITORY } from '../support/host.js'
import { query } from '../support/postgres.js'
import { bundled } from '../support/programs.js'
import { startWorker, type WorkerProcess } from '../support/worker.js'

/** More examples and longer: `FLOW_RUNS=500 FLOW_SECONDS=120 npx vitest run test/flow/schedules.properties.test.ts`. */
const RUNS = Number(process.env.FLOW_RUNS ?? 60)
const SECONDS = Number(process.env.FLOW_SECONDS ?? 8)

const MINUTE = 60_000
const DAY = 1440 * MINUTE

/** Days on which clocks change, in both directions, by an hour or by half an hour, at night and at midnight. */
const CHANGES: [zone: string, day: string][] = [
  ['Europe/Berlin', '2026-03-29'],
  ['Europe/Berlin', '2026-10-25'],
  ['America/New_York', '2026-03-08'],
  ['America/New_York', '2026-11-01'],
  ['Australia/Lord_Howe', '2026-10-04'],
  ['Australia/Lord_Howe', '2026-04-05'],
  ['America/Santiago', '2026-09-06'],
  ['America/Santiago', '2026-04-05'],
  ['Asia/Kathmandu', '2026-06-01'],
]

const walls = new Map<string, Map<number, number>>()

/** What the wall clock shows, as if it were UTC. It reads the zone in another way than the code. */
function wallClock(zone: string): (time: number) => number {
  const numeric = { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit' } as const
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, ...numeric })
  const known = walls.get(zone) ?? new Map<number, number>()
  walls.set(zone, known)
  return (time) => {
    const wall = known.get(time) ?? Date.parse(`${format.format(time).replace(' ', 'T')}Z`)
    known.set(time, wall)
    return wall
  }
}

/** All occurrences around a day, by looking at each minute. */
function byEachMinute(zone: string, day: string, minutes: number[], hours: number[] | 'every'): number[] {
  const wallOf = wallClock(zone)
  const [from, to] = [Date.parse(day) - DAY, Date.parse(day) + 2 * DAY]
  const firstTime = new Map<number, number>()
  const matching: number[] = []
  for (let time = from - DAY; time < to + DAY; time += MINUTE) {
    const wall = wallOf(time)
    if (hours === 'every' && minutes.includes(new Date(wall).getUTCMinutes())) matching.push(time)
    if (!firstTime.has(wall)) firstTime.set(wall, time)
  }
  if (hours !== 'every') {
    for (let wall = from - DAY / 2; wall < to + DAY / 2; wall += MINUTE) {
      const shown = new Date(wall)
      if (!hours.includes(shown.getUTCHours()) || !minutes.includes(shown.getUTCMinutes())) continue
      const offsetBefore = wallOf(wall - DAY) - (wall - DAY)
      matching.push(firstTime.get(wall) ?? wall - offsetBefore)
    }
  }
  return [...new Set(matching)].filter((time) => time > from && time <= to).sort((a, b) => a - b)
}

describe('where the clocks change', () => {
  const minutes = fc.uniqueArray(fc.integer({ min: 0, max: 59 }), { minLength: 1, maxLength: 4 })
  const hours = fc.oneof(
    fc.constant('every' as const),
    fc.uniqueArray(fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 23 })), {
      minLength: 1,
      maxLength: 5,
    }),
  )

  it('no occurrence is lost, and none is doubled', () => {
    fc.assert(
      fc.property(fc.constantFrom(...CHANGES), minutes, hours, ([zone, day], minute, hour) => {
        const cron = `${minute.join(',')} ${hour === 'every' ? '*' : hour.join(',')} * * *`
        const { after: next } = occurrencesOf('job', cron, zone)
        const end = Date.parse(day) + 2 * DAY
        const found: number[] = []
        for (let time = next(new Date(Date.parse(day) - DAY)); time && time.getTime() <= end; time = next(time))
          found.push(time.getTime())
        const expected = byEachMinute(zone, day, minute, hour)
        expect(
          found.map((time) => new Date(time).toISOString()),
          `${cron} ${zone} ${day}`,
        ).toEqual(expected.map((time) => new Date(time).toISOString()))
      }),
      { numRuns: RUNS },
    )
  })
})

describe('with several workers that are killed', () => {
  let workers: WorkerProcess[] = []
  afterEach(async () => {
    for (const worker of workers) worker.kill('SIGKILL')
    await Promise.all(workers.map(({ exited }) => exited))
    workers = []
  })

  it('each occurrence is recorded once, and the newest debounced call runs last', async () => {
    const url = await testDatabase()
    const sql = (text: string, values: unknown[] = []) => query(url, text, values)
    await sql('CREATE TABLE effects (id serial, name text, version int, pid int)')
    const start = () =>
      void workers.push(startWorker(REPOSITORY, { DATABASE_URL: url }, bundled('test/flow/host/schedules-worker.ts')))
    for (let i = 0; i < 3; i++) start()
    await eventually('the first occurrence', async () => (await sql('SELECT FROM effects')).length > 0, 60_000)

    const { prisma } = await import('../.app/src/db.js')
    const db = connect(prisma, { connectionString: url })
    const Probe = { index: async (_key: string, _version: number) => {} }
    class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Probe }) }) {}
    const versions = new Map<string, number>()
    let isAsking = true
    const asking = ['a', 'b', 'c'].map(async (key) => {
      for (let version = 1; isAsking; version++) {
        await Attempt.async(Probe, { debounce: { key, wait: 50, atMost: 300 } }).index(key, version)
        versions.set(key, version)
        await sleep(Math.random() * 60)
      }
    })
    for (let second = 0; second < SECONDS; second++) {
      await sleep(1000)
      workers.splice(Math.floor(Math.random() * workers.length), 1)[0]!.kill('SIGKILL')
      start()
    }
    isAsking = false
    await Promise.all(asking)
    for (const [key, version] of versions)
      await eventually(
        `the newest call of ${key}`,
        async () => (await sql('SELECT FROM effects WHERE name = $1 AND version = $2', [key, version])).length > 0,
        60_000,
      )
    await sleep(1500)
    const waiting = await sql(`SELECT debounce_key FROM attempts WHERE debounce_key IS NOT NULL AND status = 'pending'`)
    expect(waiting).toEqual([])

    const [gaps] = await sql(`
      SELECT count(*)::int AS recorded, count(DISTINCT scheduled_for)::int AS distinct_times,
        extract(epoch FROM max(scheduled_for) - min(scheduled_for))::int + 1 AS seconds
      FROM (SELECT split_part(idempotence_token, '@', 2)::timestamptz AS scheduled_for FROM attempts WHERE schedule = 'all') AS occurrence`)
    expect(gaps!.recorded).toBe(gaps!.seconds)
    expect(gaps!.distinct_times).toBe(gaps!.seconds)
    const [overlapping] = await sql(`
      SELECT count(*)::int AS found FROM attempts AS one, attempts AS other
      WHERE one.schedule = 'waiting' AND other.schedule = 'waiting' AND one.id < other.id
        AND other.started_at < coalesce(one.completed_at, 'infinity')`)
    expect(overlapping!.found).toBe(0)
    await db.close()
  }, 180_000)
})
