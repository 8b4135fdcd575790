import { Attempt } from '../async/attempt.js'
import { PaymentAttempt } from '../async/payment_attempt.js'
import { MonthlySales } from '../async/reports/monthly_sales.js'
import { breakfast, lunch, menu, supper } from '../async/toasts.js'
import { prisma } from '../db.js'
import { scene } from './scene.js'

// read: all that is there, as this version's code reads it.
const toasts = { breakfast, lunch, supper }

await scene(async () => {
  const read = (attempts: (Attempt | PaymentAttempt)[]) =>
    attempts.map(({ id, method, args, status, numAttempts, result, errors, idempotenceToken }) => ({
      id,
      method,
      args,
      status,
      numAttempts,
      result: status === 'succeeded' ? result : undefined,
      errors: errors.map(({ name, message, cause }) => ({ name, message, cause })),
      idempotenceToken,
    }))
  const oats = await prisma.oat.findMany()
  const names = await prisma.toast.findMany({
    where: { name: { startsWith: 'oat.' } },
    select: { name: true, key: true },
  })
  const readings = names.map(async ({ name, key }) => {
    const toast = toasts[name.slice('oat.'.length) as keyof typeof toasts]
    const oat = oats.find(({ id }) => String(id) === key)!
    return [`${name} ${oat.name}`, await toast.peek(oat)] as const
  })
  const built = (await prisma.report.findMany()).map(async (row) => {
    const args = row.args as { month: string }
    return [args.month, await (await MonthlySales.create(args)).build()] as const
  })
  return {
    attempts: read(await Attempt.where({}, { limit: 10_000 })),
    payments: read(await PaymentAttempt.where({}, { limit: 10_000 })),
    toasts: Object.fromEntries(await Promise.all(readings)),
    menu: await menu.fetch('history', 1, { arguments: ['history'] }),
    reports: Object.fromEntries(await Promise.all(built)),
  }
})
