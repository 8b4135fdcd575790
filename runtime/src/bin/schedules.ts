import type { ScheduleStatus } from '../attempt/schedules/rows.js'
import { listSchedules } from '../attempt/schedules/rows.js'
import { printable } from '../core/printable.js'
import { timeText } from '../core/time-text.js'
import { hostDatabase } from './attempts/classes.js'
import { using } from './database-errors.js'
import type { CommandResult } from './result.js'

/**
 * Lists the schedules in the database, with their last and next occurrences.
 * @throws AsyncGenError NO_DATABASE, NO_WORKER_MODULE, NOT_MIGRATED
 */
export async function showSchedules(module: string | undefined): Promise<CommandResult> {
  const db = await hostDatabase(module)
  return await using(db, async () => {
    const schedules = await listSchedules(db)
    const none = 'There are no schedules. A worker writes those of schedule.ts to the database when it starts.'
    return { lines: schedules.length > 0 ? schedules.flatMap(linesOf) : [none], json: { schedules } }
  })
}

function linesOf(schedule: ScheduleStatus): string[] {
  const { model, name, target, method, cron, tz, lastAt, nextAt, waiting, error, inCode } = schedule
  const next = waiting ? 'when the run before has ended' : nextAt ? timeText(nextAt) : error ? 'never' : 'not known yet'
  const call = `${printable(target, 100)}.${printable(method, 100)} (${printable(model, 100)})`
  return [
    `${printable(name, 200)}: ${call}, ${printable(cron, 100)} ${printable(tz, 60)}, ${inCode ? 'in schedule.ts' : 'a row'}`,
    `  last ${lastAt ? timeText(lastAt) : 'never'}, next ${next}`,
    ...(error === null ? [] : [`  ${printable(error, 500)}`]),
  ]
}
