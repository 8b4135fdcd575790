import { totals } from '../async/toasts.js'
import { db } from '../prisma/db.js'

const customer = await db.orm.public.Customer.first({ id: Number(process.argv[2]) })
console.log(JSON.stringify(await totals(customer!)))
process.exit()
