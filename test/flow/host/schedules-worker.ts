// A worker with a schedule for each second, whose calls write down that they have run: for schedules.properties.test.ts.
import { attemptTask, BaseAttempt, connect, defineSchedules, defineTargets, runWorker } from '@async-gen/runtime'
import { prisma } from '../../.app/src/db.js'

const db = connect(prisma, { connectionString: process.env.DATABASE_URL })

const Probe = {
  tick: async (name: string) => {
    await db.pool.query('INSERT INTO effects (name, pid) VALUES ($1, $2)', [name, process.pid])
  },
  index: async (key: string, version: number) => {
    await db.pool.query('INSERT INTO effects (name, version, pid) VALUES ($1, $2, $3)', [key, version, process.pid])
  },
}
const targets = defineTargets({ Probe })
const cron = process.env.CRON ?? '* * * * * *'
const schedules = defineSchedules(targets, {
  all: { target: Probe, method: 'tick', args: ['all'], cron, missed: 'all' },
  waiting: { target: Probe, method: 'tick', args: ['waiting'], cron, overlap: 'wait' },
})

class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets,
  schedules: async () => ({ schedules }),
}) {
  override retryDelay() {
    return 100
  }
}

await runWorker(db, { tasks: { attempt: attemptTask(Attempt) }, sweepEvery: 300, pollInterval: 300 })
