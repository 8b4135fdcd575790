import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BaseAttempt, defineTargets } from '@async-gen/runtime'
import { drain } from '@async-gen/runtime/testing'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { APP } from '../support/host.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

let ran: string[] = []
const Service = { note: async (what: string) => void ran.push(what) }
const targets = defineTargets({ Service })
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}
class Payment extends BaseAttempt(db, { model: 'Payment', table: 'payments', targets }) {}

// A second table, as `async-gen attempt Payment` would make it.
const migrations = join(APP, 'prisma', 'migrations')
for (const folder of readdirSync(migrations)
  .filter((name) => name.endsWith('_attempts'))
  .sort()) {
  const sql = readFileSync(join(migrations, folder, 'migration.sql'), 'utf8')
  await query(
    url,
    sql
      .replaceAll('attempts', 'payments')
      .replaceAll('attempt', 'payment')
      .replaceAll('num_payments', 'num_attempts')
      .replaceAll('max_payments', 'max_attempts'),
  )
}

afterEach(async () => {
  ran = []
  await query(url, 'TRUNCATE attempts, payments, graphile_worker._private_jobs CASCADE')
})
afterAll(() => db.close())

describe('drain(db) with several tables of attempts', () => {
  it('asks for the class of a table that the process has not used', async () => {
    await query(url, `INSERT INTO payments (target, method, args) VALUES ('Service', 'note', '["by hand"]')`)
    await expect(drain(db)).rejects.toMatchObject({ code: 'ATTEMPT_CLASS_UNKNOWN' })
    expect(await drain(db, { attempts: [Payment] })).toMatchObject({ succeeded: 1 })
    expect(ran).toEqual(['by hand'])
  })

  it('runs the calls of all tables by priority, then by time', async () => {
    await Attempt.async(Service).note('attempt, second')
    await Payment.async(Service).note('payment, third')
    await Attempt.async(Service, { priority: 5 }).note('attempt, last')
    await Payment.async(Service, { priority: 15 }).note('payment, first')
    expect(await drain(db)).toMatchObject({ succeeded: 4 })
    expect(ran).toEqual(['payment, first', 'attempt, second', 'payment, third', 'attempt, last'])
  })

  it('runs calls for later of all tables in the order of their times', async () => {
    const inMinutes = (minutes: number) => new Date(Date.now() + minutes * 60_000)
    await Attempt.schedule(inMinutes(20), Service).note('attempt in 20 minutes')
    await Payment.schedule(inMinutes(10), Service).note('payment in 10 minutes')
    await Payment.schedule(inMinutes(30), Service).note('payment in 30 minutes')
    await drain(db, { until: '1 hour' })
    expect(ran).toEqual(['payment in 10 minutes', 'attempt in 20 minutes', 'payment in 30 minutes'])
  })
})
