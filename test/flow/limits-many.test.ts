// 100,000 calls of one key wait. Nothing has analyzed the table: its statistics are those of an empty one.
import { attemptTask, BaseAttempt, defineTargets, limit, sweep } from '@async-gen/runtime'
import { run } from 'graphile-worker'
import { beforeAll, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { query } from '../support/postgres.js'

const WAITING = 100_000

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

const ended = new Map<string, (at: number) => void>()
const Shop = {
  push: async (_shop: string, name: string) => ended.get(name)?.(performance.now()),
}
const Mail = { send: async (name: string) => ended.get(name)?.(performance.now()) }
const limits = [limit(Shop, { key: (shop) => shop, concurrency: 1 })]
class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets({ Shop, Mail }, { limits }),
}) {}

const rows = (sql: string) => query(url, sql)

/** How long calls take from recording to their run: the median of some, one after the other, in milliseconds. */
async function latency(record: (name: string) => Promise<unknown>): Promise<number> {
  const taken: number[] = []
  for (let i = 0; i < 15; i++) {
    const name = `call ${i}`
    const run = new Promise<number>((resolve) => ended.set(name, resolve))
    const started = performance.now()
    await record(name)
    taken.push((await run) - started)
  }
  return median(taken)
}

async function sweepTime(): Promise<number> {
  const taken: number[] = []
  for (let i = 0; i < 5; i++) {
    const started = performance.now()
    expect(await sweep(db)).toMatchObject({ enqueued: 0 })
    taken.push(performance.now() - started)
  }
  return median(taken)
}

const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!

beforeAll(async () => {
  await rows('ALTER TABLE attempts SET (autovacuum_enabled = off)')
})

it('calls of other keys, calls without a limit and the sweep take as long as before', async () => {
  const taskList = { attempt: attemptTask(Attempt) }
  const runner = await run({
    connectionString: url,
    taskList,
    concurrency: 4,
    noHandleSignals: true,
    pollInterval: 60_000,
  })
  try {
    const other = (name: string) => Attempt.async(Shop).push('globex', name)
    const plain = (name: string) => Attempt.async(Mail).send(name)
    await latency(other)
    const times = async () => [await latency(other), await latency(plain), await sweepTime()]
    const before = await times()
    await rows(`INSERT INTO attempts (target, method, args, limit_key, status, locked_by, started_at)
      SELECT 'Shop', 'push', '["acme", "running"]', 'Shop:acme', 'running', max(id), now() FROM async_workers WHERE ended_at IS NULL`)
    await rows(`INSERT INTO attempts (target, method, args, limit_key)
      SELECT 'Shop', 'push', '["acme", "waits"]', 'Shop:acme' FROM generate_series(1, ${WAITING})`)
    await eventually(
      'the first of them to find its key full',
      async () => (await rows('SELECT FROM graphile_worker.jobs')).length === 0,
    )
    // Other programs may have the machine for seconds: one round of ten is enough.
    const rounds: number[][] = []
    const asBefore = (round: number[]) => round.every((time, i) => time < 3 * before[i]! + 15)
    while (rounds.length < 10 && !rounds.some(asBefore)) rounds.push(await times())
    expect(rounds.some(asBefore), `${before} ms before, then ${rounds.join(' and ')}`).toBe(true)
    expect(await Attempt.store.statistics()).toMatchObject({ due: 0, oldestDue: 0 })
  } finally {
    await runner.stop()
  }
})
