import type { Database } from '../core/database.js'
import { presenceOf } from '../presence/presence.js'
import { requireArgument } from './arguments.js'

/**
 * The id under which this process runs attempts. A row with the status `running` and this id in `lockedBy` counts as running for as long as
 * the process lives, so that no worker releases it:
 *
 *     await prisma.attempt.update({ where: { id }, data: { status: 'running', lockedBy: await workerId(db) } })
 */
export async function workerId(db: Database): Promise<number> {
  requireArgument('workerId', 'Database', db)
  const { id } = await presenceOf(db)
  return id
}
