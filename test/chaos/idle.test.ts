import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, inject } from 'vitest'
import { eventually } from '../support/eventually.js'
import { query } from '../support/postgres.js'
import { it, WITHIN } from './place.js'

/** How long a worker is watched, twice, in seconds. */
const WATCHED = 12

/** Megabytes. */
function residentMemory(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024
}

describe('an idle worker', () => {
  it.concurrent('sends five statements a second at most, holds 100 MB at most, and starts a call at once', async ({
    place,
    expect,
  }) => {
    const worker = await place.start({ slots: 10 })
    const [{ name }] = (await place.sql('SELECT current_database() AS name')) as [{ name: string }]
    // Of another database, so that it is not counted itself.
    const transactions = async () => {
      const text = 'SELECT xact_commit::int AS count FROM pg_stat_database WHERE datname = $1'
      return (await query(inject('postgres').url, text, [name]))[0].count as number
    }
    // What it does when it starts is over, and counted: PostgreSQL counts the last statements of a session up to ten seconds later.
    await sleep(11_000)
    const counted = [await transactions()]
    for (let watched = 0; watched < 2; watched++) {
      await sleep(WATCHED * 1000)
      counted.push(await transactions())
    }
    const [first = 0, second = 0, third = 0] = counted
    // PostgreSQL's own background work counts too. It comes once in a minute, for all tables.
    expect(Math.min(second - first, third - second), `${counted}\n${worker.log()}`).toBeLessThanOrEqual(5 * WATCHED)
    // With Prisma's query compiler, which no job has needed yet, it would be more than 120 MB.
    if (process.platform === 'linux') expect(residentMemory(worker.pid)).toBeLessThan(100)

    await place.record(1)
    const text = `SELECT extract(epoch FROM at - created_at)::float8 AS wait FROM effects, attempts WHERE what LIKE 'call%'`
    const wait = async () => (await place.sql(text))[0]?.wait as number | undefined
    // The next poll without a notification would come after up to two seconds.
    expect(await eventually('the call', wait, WITHIN), worker.log()).toBeLessThan(1)
  })

  it.concurrent('runs the next job of a named queue when the one before has ended', async ({ place, expect }) => {
    await place.start({ slots: 10 })
    await sleep(3000)
    // The jobs end at once.
    await place.sql(`INSERT INTO effects (what) VALUES ('released')`)
    const started = performance.now()
    await place.sql(
      `SELECT graphile_worker.add_job('own_job', '{}', queue_name => 'one after the other') FROM generate_series(1, 5)`,
    )
    await place.queueIsEmpty()
    // On a busy machine, a slot may look for the next job before PostgreSQL knows that its own has ended. Then each waits for a poll.
    expect(performance.now() - started).toBeLessThan(12_000)
  })

  it.concurrent('notices what only a sweep finds: rows without a job', async ({ place, expect }) => {
    await place.start({ slots: 10 })
    await sleep(3000)
    await place.sql('ALTER TABLE attempts DISABLE TRIGGER ALL')
    await place.record(3)
    await place.allSucceeded()
    expect(await place.sql('SELECT FROM effects')).toHaveLength(3)
  })
})
