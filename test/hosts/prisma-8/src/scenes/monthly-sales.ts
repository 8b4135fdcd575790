import { MonthlySales } from '../async/reports/monthly_sales.js'

const report = await MonthlySales.create({ month: 'January' })
console.log(JSON.stringify(await report.build()))
process.exit()
