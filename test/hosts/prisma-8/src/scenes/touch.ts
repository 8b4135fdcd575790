import { db } from '../prisma/db.js'

const id = Number(process.argv[2])
await db.orm.public.Customer.where({ id }).update({ updatedAt: new Date() })
console.log('{}')
process.exit()
