import { prisma } from '../db.js'

type NewPaymentAttempt = NonNullable<Parameters<typeof prisma.paymentAttempt.create>[0]>['data']

const create = (attributes: Partial<NewPaymentAttempt>) =>
  prisma.paymentAttempt.create({ data: { target: 'Factory', method: 'call', ...attributes } as NewPaymentAttempt })

/** Rows for your tests: `await paymentAttemptFactory.succeeded({ result: 42 })`. */
export const paymentAttemptFactory = {
  /** Not due before an hour has passed, so that no worker takes it from under a test. */
  pending: (attributes: Partial<NewPaymentAttempt> = {}) =>
    create({ scheduledAt: new Date(Date.now() + 3_600_000), ...attributes }),
  succeeded: (attributes: Partial<NewPaymentAttempt> = {}) =>
    create({ status: 'succeeded', numAttempts: 1, completedAt: new Date(), ...attributes }),
  failed: (attributes: Partial<NewPaymentAttempt> = {}) =>
    create({ status: 'failed', numAttempts: 1, completedAt: new Date(), ...attributes }),
  expired: (attributes: Partial<NewPaymentAttempt> = {}) =>
    create({ status: 'expired', completedAt: new Date(), ...attributes }),
}
