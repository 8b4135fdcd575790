import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { REPOSITORY } from '../support/host.js'
import { query } from '../support/postgres.js'
import { bundled } from '../support/programs.js'
import { startWorker, type WorkerProcess } from '../support/worker.js'

/** More examples and workers: `FLOW_RUNS=50 FLOW_WORKERS=8 npx vitest run test/flow/limits.properties.test.ts`. */
const RUNS = Number(process.env.FLOW_RUNS ?? 2)
const WORKERS = Number(process.env.FLOW_WORKERS ?? 3)

const url = await testDatabase()
const { Attempt, Rate, Slots, db } = await import('./host/limited.js')
const { prisma } = await import('../.app/src/db.js')
const sql = (text: string, values: unknown[] = []) => query(url, text, values)

interface Run {
  attempt: string
  key: string
  pid: number
  started: number
  /** Null if the process was killed during the run. */
  ended: number | null
}

const KEYS = ['a', 'b'] as const

/** A concurrency that setLimit has set for a key, and when it was in force at the latest. Times are those of the database, in milliseconds. */
interface InForce {
  key: string
  concurrency: number
  from: number
  until: number
}

/** How long after setLimit a claim that had read the former number may still begin a run, in milliseconds. */
const SET_GRACE = 500

let workers: WorkerProcess[] = []
let inForce: InForce[] = []
/** What setLimit has set for all keys (''), and for single ones. */
let concurrencies = new Map<string, number>()
let isRateRaised = false
/** When a process was killed. */
let killed = new Map<number, number>()
/** When a call was cancelled or deleted. Its slot is free from then on, although its method goes on. */
let taken = new Map<string, number>()

const start = () => {
  const worker = startWorker(REPOSITORY, { DATABASE_URL: url }, bundled('test/flow/host/limits-worker.ts'))
  workers.push(worker)
}

const now = async () => Number((await sql('SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now'))[0]!.now)

beforeEach(async () => {
  await sql(
    'CREATE TABLE runs (id serial PRIMARY KEY, token uuid UNIQUE, attempt bigint, key text, started_at timestamptz, ended_at timestamptz, pid int)',
  )
})

afterEach(async () => {
  await stopAll()
  await sql('DROP TABLE runs')
  await db.close()
  await prisma.$disconnect()
})

async function stopAll() {
  for (const worker of workers) worker.kill('SIGKILL')
  await Promise.all(workers.map(({ exited }) => exited))
  workers = []
}

const call = fc.record({
  type: fc.constant('call' as const),
  target: fc.constantFrom('Slots', 'Order', 'Rate'),
  key: fc.constantFrom('a', 'b'),
  milliseconds: fc.nat(60),
  failures: fc.constantFrom(0, 0, 0, 1, 2),
  snoozes: fc.constantFrom(false, false, false, true),
  /** Whether SQL inserts it, without a key. */
  isPlain: fc.boolean(),
  copies: fc.integer({ min: 1, max: 4 }),
  priority: fc.integer({ min: 8, max: 12 }),
})
const event = fc.record({
  type: fc.constantFrom('kill' as const, 'cancel' as const, 'delete' as const, 'pause' as const, 'terminate' as const),
})
const setting = fc.record({
  type: fc.constant('set' as const),
  key: fc.constantFrom('', ...KEYS),
  concurrency: fc.constantFrom(1, 2, 3, 4, null),
  raisesRate: fc.boolean(),
})
const steps = fc.array(
  fc.oneof({ weight: 16, arbitrary: call }, { weight: 5, arbitrary: event }, { weight: 2, arbitrary: setting }),
  { minLength: 25, maxLength: 45 },
)

async function play(step: typeof steps extends fc.Arbitrary<(infer S)[]> ? S : never) {
  if (step.type === 'call') {
    const { target, key, milliseconds, failures, snoozes, isPlain, copies, priority } = step
    const args = JSON.stringify([key, milliseconds, failures, snoozes])
    await sql(
      `INSERT INTO attempts (target, method, args, limit_key, priority)
       SELECT $1, 'work', $2, $3, $4 FROM generate_series(1, $5)`,
      // Keys of a strict order are stored with the call: the order is that of the calls whose keys are known.
      [target, args, isPlain && target !== 'Order' ? null : `${target}:${key}`, priority, copies],
    )
  } else if (step.type === 'kill') {
    const worker = workers.shift()!
    killed.set(worker.pid, await now())
    worker.kill('SIGKILL')
    start()
  } else if (step.type === 'pause') {
    await sql(`INSERT INTO async_pauses (model, target) VALUES ('Attempt', 'Slots') ON CONFLICT DO NOTHING`)
    await sleep(50)
    await sql(`UPDATE async_pauses SET until = now()`)
  } else if (step.type === 'terminate') {
    // Not the session by which a worker is alive: without it, its calls run again elsewhere.
    await sql(`SELECT pg_terminate_backend(pid) FROM (
      SELECT pid FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'async-gen presence'
      ORDER BY random() LIMIT 3
    ) AS sessions`)
  } else if (step.type === 'set') {
    await set(step)
  } else {
    const change =
      step.type === 'delete' ? 'DELETE FROM attempts' : `UPDATE attempts SET status = 'cancelled', completed_at = now()`
    const at = await now()
    const [row] = await sql(
      `${change} WHERE id = (SELECT id FROM attempts WHERE completed_at IS NULL ORDER BY random() LIMIT 1) RETURNING id`,
    )
    if (row) taken.set(row.id, at)
  }
  await sleep(20)
}

async function set({ key, concurrency, raisesRate }: { key: string; concurrency: number | null; raisesRate: boolean }) {
  if (concurrency === null) concurrencies.delete(key)
  else concurrencies.set(key, concurrency)
  const from = await now()
  await Attempt.setLimit(Slots, { ...(key !== '' && { key }), concurrency })
  if (raisesRate) {
    isRateRaised = true
    await Attempt.setLimit(Rate, { rate: { limit: 10, per: '1s' } })
  }
  begin(from, await now())
}

/** Notes what is in force from then on, and what is not any more. */
function begin(from: number, until: number) {
  for (const each of inForce) each.until = Math.min(each.until, until + SET_GRACE)
  for (const key of KEYS) {
    const concurrency = concurrencies.get(key) ?? concurrencies.get('') ?? 2
    inForce.push({ key: `Slots:${key}`, concurrency, from, until: Number.POSITIVE_INFINITY })
  }
}

const unfinished = () =>
  sql('SELECT id, target, limit_key, status::text, scheduled_at, num_attempts FROM attempts WHERE completed_at IS NULL')

/** Waits until all calls have ended. On a busy machine that takes long, so only a minute without any change is an error. */
async function ended(): Promise<void> {
  const isChanged = async (before: string) => {
    const open = await unfinished()
    const now = JSON.stringify(open)
    return open.length === 0 || now !== before ? { now, isOver: open.length === 0 } : undefined
  }
  for (let before = ''; ; ) {
    const change = await eventually('a change', () => isChanged(before), 60_000).catch((error: Error) => {
      throw new Error(`${error.message} ${before}`)
    })
    if (change.isOver) return
    before = change.now
  }
}

it(
  'no limit is exceeded, no order changes, and no call waits for ever, while workers are killed',
  async () => {
    for (let i = 0; i < WORKERS; i++) start()
    await eventually(
      'a worker',
      async () => (await sql(`SELECT FROM async_workers WHERE pool_id IS NOT NULL`)).length > 0,
    )
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        await sql(
          'TRUNCATE runs, attempts, async_pauses, async_limits, async_limit_starts; DELETE FROM graphile_worker._private_jobs',
        )
        killed = new Map()
        taken = new Map()
        inForce = []
        concurrencies = new Map()
        isRateRaised = false
        begin(0, 0)
        for (const step of all) await play(step)
        await ended()
        const runs = (
          await sql(`SELECT attempt, key, pid, extract(epoch FROM started_at) * 1000 AS started, extract(epoch FROM ended_at) * 1000 AS ended
            FROM runs ORDER BY started_at, id`)
        ).map((row) => ({
          ...row,
          started: Number(row.started),
          ended: row.ended === null ? null : Number(row.ended),
        })) as Run[]
        for (const key of new Set(runs.map((each) => each.key))) {
          const ofKey = runs.filter((each) => each.key === key)
          if (key.startsWith('Slots'))
            for (const { started, running } of atEachStart(ofKey)) {
              const numbers = inForce.filter(
                (each) => each.key === key && each.from <= started && each.until >= started,
              )
              expect(running, key).toBeLessThanOrEqual(Math.max(...numbers.map(({ concurrency }) => concurrency)))
            }
          if (key.startsWith('Order')) {
            for (const { running } of atEachStart(ofKey)) expect(running, key).toBeLessThanOrEqual(1)
            const ids = ofKey.map(({ attempt }) => Number(attempt))
            expect(ids, key).toEqual(ids.toSorted((a, b) => a - b))
          }
          if (key.startsWith('Rate'))
            for (const [i, { started }] of ofKey.entries()) {
              const earlier = ofKey[i - (isRateRaised ? 10 : 5)]
              if (earlier) expect(started - earlier.started, key).toBeGreaterThanOrEqual(1000)
            }
        }
      }),
      { numRuns: RUNS, endOnFailure: true, ...(process.env.FLOW_SEED && { seed: Number(process.env.FLOW_SEED) }) },
    )
  },
  60_000 + RUNS * 120_000,
)

/**
 * How many of the runs took place at the same time when each of them started, with that one. It does not count if its call was cancelled
 * or deleted, or its process was killed, between the claim and the start of its method: its slot was free again by then.
 */
function atEachStart(runs: readonly Run[]): { started: number; running: number }[] {
  const endOf = ({ attempt, ended, pid }: Run) =>
    Math.min(ended ?? killed.get(pid) ?? Number.POSITIVE_INFINITY, taken.get(attempt) ?? Number.POSITIVE_INFINITY)
  return runs.map(({ started }) => ({
    started,
    running: runs.filter((run) => run.started <= started && endOf(run) > started).length,
  }))
}
