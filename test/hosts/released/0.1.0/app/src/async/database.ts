import { connect } from '@async-gen/runtime'
import { prisma } from '../db.js'

/** Binds the runtime to your PrismaClient and to the database behind it. */
export const db = connect(prisma, { connectionString: process.env.DATABASE_URL })
