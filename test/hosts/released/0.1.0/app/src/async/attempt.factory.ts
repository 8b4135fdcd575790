import { prisma } from '../db.js'

type NewAttempt = NonNullable<Parameters<typeof prisma.attempt.create>[0]>['data']

const create = (attributes: Partial<NewAttempt>) =>
  prisma.attempt.create({ data: { target: 'Factory', method: 'call', ...attributes } as NewAttempt })

/** Rows for your tests: `await attemptFactory.succeeded({ result: 42 })`. */
export const attemptFactory = {
  /** Not due before an hour has passed, so that no worker takes it from under a test. */
  pending: (attributes: Partial<NewAttempt> = {}) =>
    create({ scheduledAt: new Date(Date.now() + 3_600_000), ...attributes }),
  succeeded: (attributes: Partial<NewAttempt> = {}) =>
    create({ status: 'succeeded', numAttempts: 1, completedAt: new Date(), ...attributes }),
  scheduled: (scheduledAt: Date) => create({ scheduledAt }),
  failed: (attributes: Partial<NewAttempt> = {}) =>
    create({ status: 'failed', numAttempts: 1, completedAt: new Date(), ...attributes }),
  expired: (attributes: Partial<NewAttempt> = {}) =>
    create({ status: 'expired', completedAt: new Date(), ...attributes }),
}
