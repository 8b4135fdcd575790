import type { Database } from '../../core/database.js'
import type { TransactionLike } from '../../core/prisma/client.js'
import type { BoundClass } from '../binding.js'
import { invalid } from './cron.js'
import { type AnySchedule, checkName, definitionOf } from './define.js'
import { scheduleStatements as sql } from './sql.js'
import { writeDefinitions } from './write.js'

/** A schedule, and what has become of it. */
export interface ScheduleStatus {
  model: string
  name: string
  /** Whether it stands in schedule.ts. */
  inCode: boolean
  target: string
  method: string
  cron: string
  tz: string
  missed: string
  overlap: string
  /** The latest occurrence that was recorded as an attempt. */
  lastAt: Date | null
  /** The next one; null if there is none, if it waits, or if no worker has read the schedule yet. */
  nextAt: Date | null
  /** Whether an occurrence waits for the end of the one before. */
  waiting: boolean
  /** Why workers cannot use it. */
  error: string | null
}

/** The schedules of a model, or of all models, by name. */
export async function listSchedules(
  db: Database,
  { model, limit }: { model?: string; limit?: number } = {},
): Promise<ScheduleStatus[]> {
  return await db.query<ScheduleStatus>(sql.list, [model ?? null, limit ?? null])
}

export async function setSchedule(
  { db, model, targets }: BoundClass,
  name: string,
  schedule: AnySchedule,
  tx: TransactionLike | undefined,
): Promise<void> {
  const definition = definitionOf(await targets(), name, schedule)
  const written = await writeDefinitions(tx ? db.within(tx) : db.query, model, false, new Map([[name, definition]]))
  if (!written.has(name)) throw invalid(name, 'schedule.ts has a schedule of this name. Choose another name.')
}

export async function removeSchedule(
  { db, model }: BoundClass,
  name: string,
  tx: TransactionLike | undefined,
): Promise<boolean> {
  checkName(name)
  const query = tx ? db.within(tx) : db.query
  if ((await query(sql.remove, [model, name])).length > 0) return true
  if ((await query(sql.isInCode, [model, name])).length > 0)
    throw invalid(name, 'it stands in schedule.ts. Remove it there: a worker would write it again.')
  return false
}
