import { connect } from '@async-gen/runtime'
import { prisma } from '../../.app/src/db.js'

export const db = connect(prisma, { connectionString: process.env.DATABASE_URL })
