import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { prisma } from '../../db.js'
import { db } from '../database.js'
import { Report } from '../report.js'

class SpecReport extends Report<{ month: string; verbose?: boolean }> {
  override async build() {
    return { title: `Sales of ${this.args.month}` }
  }
}

describe('Report', () => {
  afterEach(async () => {
    await prisma.toast.deleteMany({ where: { name: 'SpecReport.build' } })
    await prisma.report.deleteMany({ where: { type: 'SpecReport' } })
  })
  afterAll(() => db.close())

  it('is one row for each set of arguments, in whatever order', async () => {
    const first = await SpecReport.create({ month: 'January', verbose: true })
    const again = await SpecReport.create({ verbose: true, month: 'January' })
    const other = await SpecReport.create({ month: 'February', verbose: true })

    expect(again.id).toBe(first.id)
    expect(other.id).not.toBe(first.id)
  })

  it('is a placeholder until the worker has built it', async () => {
    const report = await SpecReport.create({ month: 'January' })

    expect(await report.build()).toEqual({ error: 'Data not yet available' })
  })
})
