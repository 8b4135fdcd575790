import type { Database } from '../../core/database.js'
import type { Query } from '../../core/statement.js'
import type { ScheduleDefinition } from './define.js'
import { scheduledModels, schedulesInCode } from './models.js'
import { scheduledAttemptStatements, scheduleStatements as sql } from './sql.js'

/** How far a schedule may be ahead of the clock, in milliseconds. If it is further, the clock was set back. */
const AHEAD = 1000

/** What has become of the schedules of schedule.ts. */
export interface WrittenSchedules {
  /** Names that rows of async_schedules have, which are not in code. They were not written. */
  taken: { model: string; name: string }[]
  /** Names that are not in schedule.ts any more. */
  removed: { model: string; name: string }[]
}

/**
 * Writes the schedules of schedule.ts to async_schedules, from which all workers record their occurrences. So the worker that started last
 * decides, while a deploy replaces workers one after the other.
 *
 * @throws AsyncGenError INVALID_SCHEDULE, UnknownTargetError
 */
export async function writeSchedules(db: Database): Promise<WrittenSchedules> {
  const written: WrittenSchedules = { taken: [], removed: [] }
  for (const [{ model }, definitions] of await schedulesInCode(db)) {
    const names = [...definitions.keys()]
    const { kept, removed } = await db.transaction(async (query) => ({
      removed: await query<{ name: string }>(sql.removeOthersInCode, [model, names]),
      kept: await writeDefinitions(query, model, true, definitions),
    }))
    written.removed.push(...removed.map(({ name }) => ({ model, name })))
    written.taken.push(...names.filter((name) => !kept.has(name)).map((name) => ({ model, name })))
  }
  await repairSchedules(db)
  return written
}

/** Writes definitions, and returns the names of those that were written: a name may belong to a row of the other kind. */
export async function writeDefinitions(
  query: Query,
  model: string,
  inCode: boolean,
  definitions: ReadonlyMap<string, ScheduleDefinition>,
): Promise<Set<string>> {
  if (definitions.size === 0) return new Set()
  const rows = [...definitions].map(([name, definition]) => ({ name, ...definition }))
  const written = await query<{ name: string }>(sql.write, [model, inCode, JSON.stringify(rows)])
  return new Set(written.map(({ name }) => name))
}

/** Cancels pending attempts of schedules that were removed, and restarts schedules whose clock was set back. */
export async function repairSchedules(db: Database): Promise<void> {
  for (const { model, store } of scheduledModels(db).values()) {
    await db.query(sql.resetFuture, [model, AHEAD])
    await db.query(scheduledAttemptStatements(store.table).cancelRemoved, [model])
  }
}
