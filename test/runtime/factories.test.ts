import { BaseAttempt, connect } from '@async-gen/runtime'
import { drain } from '@async-gen/runtime/testing'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { releasePresence } from '../../runtime/src/presence/presence.js'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { attemptFactory } = await import('../.app/src/async/attempt.factory.js')
const { Attempt } = await import('../.app/src/async/attempt.js')
const { db } = await import('../.app/src/async/database.js')
const { targets } = await import('../.app/src/async/targets.js')

/** A worker of the developer: another process, as far as the database knows. */
const workerDb = connect(db.prisma, { connectionString: url })
class WorkersAttempt extends BaseAttempt(workerDb, { model: 'Attempt', table: 'attempts', targets }) {}
const work = () => drain(workerDb, { attempts: [WorkersAttempt], throwErrors: false })

afterAll(async () => {
  await workerDb.close()
  await db.close()
})
beforeEach(() => query(url, 'DELETE FROM attempts'))

const traits = Object.keys(attemptFactory) as (keyof typeof attemptFactory)[]

describe('A16: the factory of attempts', () => {
  it('has a trait for each status, and one for a call that is scheduled', () => {
    expect(traits.sort()).toEqual([
      'blocked',
      'cancelled',
      'expired',
      'failed',
      'pending',
      'running',
      'scheduled',
      'succeeded',
    ])
  })

  it.each(traits)(
    '%s: the row is one that the runtime could have written, and a worker leaves it alone',
    async (trait) => {
      const { id } = await attemptFactory[trait]()

      const attempt = (await Attempt.find(id))!
      expect(attempt.status).toBe(trait === 'scheduled' ? 'pending' : trait)
      const ended = ['succeeded', 'failed', 'expired', 'cancelled'].includes(trait)
      const started = ['running', 'succeeded', 'failed'].includes(trait)
      expect([attempt.completedAt !== null, attempt.startedAt !== null]).toEqual([ended, started])
      expect(attempt.numAttempts).toBe(started ? 1 : 0)
      expect(attempt.errors).toHaveLength(trait === 'failed' ? 1 : 0)
      const [times] = await query(
        url,
        `SELECT created_at <= coalesce(started_at, completed_at, now()) AS recorded_first,
         coalesce(started_at <= completed_at, true) AS started_first, (locked_by IS NOT NULL) = (status = 'running') AS locked
       FROM attempts WHERE id = ${id}`,
      )
      expect(times).toEqual({ recorded_first: true, started_first: true, locked: true })

      expect(await work()).toMatchObject({ succeeded: 0, failed: 0, expired: 0, rescued: 0 })
      expect((await Attempt.find(id))!.toJSON()).toEqual(attempt.toJSON())
    },
  )

  it('running: the row fails, and the call does not run, when the process of the test has ended', async () => {
    const { id } = await attemptFactory.running()
    await releasePresence(db)

    expect(await work()).toMatchObject({ rescued: 1, failed: 0 })

    const attempt = (await Attempt.find(id))!
    expect(attempt).toMatchObject({ status: 'failed', numAttempts: 1 })
    expect(attempt.errors).toMatchObject([{ name: 'WorkerDied' }])
  })

  it('takes overrides, which the compiler checks, and a transaction', async () => {
    const error = new Error('rolled back')
    const rolledBack = db.prisma.$transaction(async (tx) => {
      const { result } = await attemptFactory.succeeded({ target: 'Warehouse', result: 42 }, { tx })
      expect(result).toBe(42)
      throw error
    })
    await expect(rolledBack).rejects.toBe(error)
    // @ts-expect-error: Attempt has no field of this name
    await expect(attemptFactory.failed({ reslt: 42 })).rejects.toThrow('reslt')
    expect(await Attempt.count()).toBe(0)
  })
})
