import { MonthlySales } from '../async/reports/monthly_sales.js'
import { scene } from './scene.js'

// monthly-sales: found or created, twice, with the keys in another order; then what a reader gets, at once
await scene(async () => {
  const report = await MonthlySales.create({ month: 'January', verbose: true })
  const same = await MonthlySales.create({ verbose: true, month: 'January' })
  return { id: Number(report.id), sameId: Number(same.id), built: await report.build() }
})
