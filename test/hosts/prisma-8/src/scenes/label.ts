import { label } from '../async/toasts.js'
import { db } from '../prisma/db.js'

const order = await db.orm.public.Order.first({ number: Number(process.argv[2]) })
console.log(JSON.stringify(await label(order!)))
process.exit()
