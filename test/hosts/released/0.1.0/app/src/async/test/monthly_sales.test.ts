import { afterAll, expect, it } from 'vitest'
import { prisma } from '../../db.js'
import { db } from '../database.js'
import { MonthlySales } from '../reports/monthly_sales.js'

afterAll(async () => {
  await prisma.report.deleteMany({ where: { type: 'MonthlySales' } })
  await db.close()
})

it('MonthlySales builds its total', async () => {
  const report = await MonthlySales.create({ month: 'January' })

  expect(await report.compute()).toEqual({ month: 'January', orders: 0 })
})
