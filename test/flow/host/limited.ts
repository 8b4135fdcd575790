// Attempts with limits whose calls write down when they have run: for limits.properties.test.ts.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { BaseAttempt, connect, defineTargets, limit } from '@async-gen/runtime'
import { prisma } from '../../.app/src/db.js'

export const db = connect(prisma, { connectionString: process.env.DATABASE_URL })

/** Runs for some milliseconds. Its first runs fail, or it snoozes once. */
async function work(_key: string, milliseconds: number, failures: number, snoozes: boolean): Promise<unknown> {
  const { attempt, run, snooze } = Attempt.current()
  const token = randomUUID()
  await db.query(started, [token, attempt.id, attempt.limitKey, attempt.startedAt, process.pid])
  await sleep(milliseconds)
  await db.query(ended, [token])
  if (run <= failures) throw new Error('not yet')
  return snoozes && attempt.snoozes === 0 ? snooze(1000) : undefined
}

// These are tried again if the connection was lost.
const started = {
  name: 'runs:started',
  text: 'INSERT INTO runs (token, attempt, key, started_at, pid) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING',
}
const ended = {
  name: 'runs:ended',
  text: 'UPDATE runs SET ended_at = clock_timestamp() WHERE token = $1 AND ended_at IS NULL',
}

export const Slots = { work }
const Order = { work }
export const Rate = { work }
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

export class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {
  override retryDelay() {
    return 100
  }
}
