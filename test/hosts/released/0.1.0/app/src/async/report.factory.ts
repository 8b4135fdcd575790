import { randomUUID } from 'node:crypto'
import { prisma } from '../db.js'

type NewReport = NonNullable<Parameters<typeof prisma.report.create>[0]>['data']

/** Rows for your tests: `await reportFactory.create({ type: 'MonthlySales' })`. */
export const reportFactory = {
  create: (attributes: Partial<NewReport> = {}) =>
    prisma.report.create({ data: { type: 'Factory', key: randomUUID(), ...attributes } }),
}
