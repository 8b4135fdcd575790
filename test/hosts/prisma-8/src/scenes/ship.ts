import { db } from '../prisma/db.js'

const number = Number(process.argv[2])
await db.orm.public.Order.where({ number }).update({ status: 'shipped' })
console.log('{}')
process.exit()
