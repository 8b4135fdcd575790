import { BaseAttempt, defineTargets, InvalidStateError } from '@async-gen/runtime'
import { requireNoWorker } from '@async-gen/runtime/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { prisma } from '../../db.js'
import { Attempt } from '../attempt.js'
import { attemptFactory } from '../attempt.factory.js'
import { db } from '../database.js'

const Spec = {
  greet: async (name: string) => `Hello, ${name}`,
  fail: async () => {
    throw new Error('no answer')
  },
}

/** The same table, with targets of this file's own. */
class SpecAttempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets({ Spec }),
}) {}

describe('Attempt', () => {
  const remove = () => prisma.attempt.deleteMany({ where: { target: { in: ['Spec', 'Factory'] } } })
  beforeAll(() => requireNoWorker(db))
  afterEach(remove)
  afterAll(() => db.close())

  it('makes a recorded call and keeps its result', async () => {
    const attempt = await SpecAttempt.async(Spec).greet('Ada')
    expect(attempt.status).toBe('pending')

    await attempt.perform()

    expect(attempt).toMatchObject({ status: 'succeeded', result: 'Hello, Ada', numAttempts: 1 })
  })

  it('leaves nothing behind when the transaction rolls back', async () => {
    const rolledBack = prisma.$transaction(async (tx) => {
      await SpecAttempt.async(Spec, { tx }).greet('Ada')
      throw new Error('changed my mind')
    })
    await expect(rolledBack).rejects.toThrow('changed my mind')

    expect(await prisma.attempt.count({ where: { target: 'Spec' } })).toBe(0)
  })

  it('records the error of a failed run and waits to try again', async () => {
    const attempt = await SpecAttempt.async(Spec).fail()

    await attempt.perform()

    expect(attempt).toMatchObject({ status: 'pending', numAttempts: 1 })
    expect(attempt.errors).toMatchObject([{ number: 1, message: 'no answer' }])
    expect(attempt.scheduledAt.getTime()).toBeGreaterThan(Date.now())
  })

  it('is not performed before it is due', async () => {
    const { id } = await attemptFactory.pending()

    const attempt = await Attempt.find(id)

    expect(await attempt?.perform()).toBe(false)
    expect(attempt?.numAttempts).toBe(0)
  })

  it.each(['succeeded', 'failed', 'expired'] as const)('is not performed again once it has %s', async (status) => {
    const { id } = await attemptFactory[status]()

    const attempt = await Attempt.find(id)

    await expect(attempt?.perform()).rejects.toThrow(InvalidStateError)
  })
})
