import type { ScheduleStatus } from '../attempt/schedules/rows.js'
import { listSchedules } from '../attempt/schedules/rows.js'
import { printable } from '../core/printable.js'
import { localTimeText, timeText } from '../core/time-text.js'
import { hostDatabase, loadedClasses } from './attempts/classes.js'
import { using } from './database-errors.js'
import type { CommandResult } from './result.js'

/**
 * Lists the schedules in the database, with their last and next occurrences.
 * @throws AsyncGenError NO_DATABASE, NO_WORKER_MODULE, NOT_MIGRATED
 */
export async function showSchedules(module: string | undefined): Promise<CommandResult> {
  const db = await hostDatabase(module)
  return await using(db, async () => {
    const [schedules, classes] = await Promise.all([listSchedules(db), loadedClasses(module)])
    const none = 'There are no schedules. A worker writes those of schedule.ts to the database when it starts.'
    return {
      lines: schedules.length > 0 ? schedules.flatMap((schedule) => linesOf(schedule, [...classes.keys()])) : [none],
      json: { schedules },
    }
  })
}

/** @param models those of the host; none if its modules do not load */
function linesOf(schedule: ScheduleStatus, models: readonly string[]): string[] {
  const { model, name, target, method, cron, tz, lastAt, nextAt, waiting, error, inCode } = schedule
  // Of a schedule that cannot be used, it is the time of the next look.
  const at = error === null ? nextAt : null
  const next = waiting ? 'when the run before has ended' : at ? inZone(at, tz) : error ? 'never' : 'not known yet'
  const call = `${printable(target, 100)}.${printable(method, 100)} (${printable(model, 100)})`
  return [
    `${printable(name, 200)}: ${call}, ${printable(cron, 100)} ${printable(tz, 60)}, ${inCode ? 'in schedule.ts' : 'a row'}`,
    `  last ${lastAt ? timeText(lastAt) : 'never'}, next ${next}`,
    ...(error === null ? [] : [`  ${printable(error, 500)}`]),
    ...(models.length === 0 || models.includes(model)
      ? []
      : [
          `  No class of attempts has the model ${JSON.stringify(printable(model, 100))}. There is: ${models.join(', ')}.`,
        ]),
  ]
}

/** `2026-11-27T06:00:00Z (2026-11-27 07:00 in Europe/Berlin)` */
function inZone(time: Date, zone: string): string {
  const local = localTimeText(time, zone)
  return local === undefined ? timeText(time) : `${timeText(time)} (${local} in ${printable(zone, 60)})`
}
