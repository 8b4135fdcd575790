import type { Database } from '../../core/database.js'
import type { BoundClass } from '../binding.js'
import { loadSchedules, type ScheduleDefinition, type ScheduleSource } from './define.js'

/** A model of attempts, and where its schedules in code are. */
export interface ScheduledModel extends Omit<BoundClass, 'name'> {
  schedules: ScheduleSource | undefined
}

const known = new WeakMap<Database, Map<string, ScheduledModel>>()

/** The models of attempts that this process uses, by their names. */
export function scheduledModels(db: Database): Map<string, ScheduledModel> {
  let models = known.get(db)
  if (!models) {
    models = new Map()
    known.set(db, models)
  }
  return models
}

/**
 * The schedules of schedule.ts, for each model that has such a file.
 * @throws AsyncGenError INVALID_SCHEDULE, UnknownTargetError, and what the module throws
 */
export async function schedulesInCode(db: Database): Promise<Map<ScheduledModel, Map<string, ScheduleDefinition>>> {
  const found = []
  for (const model of scheduledModels(db).values())
    if (model.schedules) found.push({ model, list: await loadSchedules(model.schedules) })
  const definitions = new Map<ScheduledModel, Map<string, ScheduleDefinition>>()
  for (const { model, list } of found) {
    const sharing = found.filter((other) => other.list === list).map((other) => other.model.model)
    definitions.set(model, list.definitions(model.model, sharing))
  }
  return definitions
}
