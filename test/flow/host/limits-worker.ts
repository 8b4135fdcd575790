// A worker whose calls write down when they have run: for limits.properties.test.ts.
import { setTimeout as sleep } from 'node:timers/promises'
import { attemptTask, BaseAttempt, connect, defineTargets, limit, runWorker } from '@async-gen/runtime'
import { prisma } from '../../.app/src/db.js'

const db = connect(prisma, { connectionString: process.env.DATABASE_URL })

/** Runs for some milliseconds. Its first runs fail, or it snoozes once. */
async function work(_key: string, milliseconds: number, failures: number, snoozes: boolean): Promise<unknown> {
  const { attempt, run, snooze } = Attempt.current()
  const values = [attempt.id, attempt.limitKey, attempt.startedAt, process.pid]
  const { rows } = await db.pool.query<{ id: number }>(
    'INSERT INTO runs (attempt, key, started_at, pid) VALUES ($1, $2, $3, $4) RETURNING id',
    values,
  )
  await sleep(milliseconds)
  await db.pool.query('UPDATE runs SET ended_at = clock_timestamp() WHERE id = $1', [rows[0]!.id])
  if (run <= failures) throw new Error('not yet')
  return snoozes && attempt.snoozes === 0 ? snooze(1000) : undefined
}

const Slots = { work }
const Order = { work }
const Rate = { work }
const targets = defineTargets(
  { Slots, Order, Rate },
  {
    limits: [
      limit(Slots, { key: (key) => key, concurrency: 2 }),
      limit(Order, { key: (key) => key, order: 'strict' }),
      limit(Rate, { key: (key) => key, rate: { limit: 5, per: '1s' } }),
    ],
  },
)

class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {
  override retryDelay() {
    return 100
  }
}

await runWorker(db, { tasks: { attempt: attemptTask(Attempt) }, sweepEvery: 300, pollInterval: 300 })
