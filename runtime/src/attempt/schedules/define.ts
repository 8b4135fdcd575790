import { described } from '../../core/described.js'
import { AsyncGenError, isAsyncGenError, UnknownTargetError } from '../../core/errors.js'
import { isPlainObject } from '../../core/plain-object.js'
import { serialize } from '../../core/serialize.js'
import type { CallInput } from '../calls.js'
import type { Targets } from '../target-types.js'
import type { TargetList } from '../targets.js'
import { invalid, occurrencesOf } from './cron.js'

/** What to do about occurrences when no worker ran: nothing, one run for all of them, or all runs. */
export type MissedPolicy = 'skip' | 'once' | 'all'

/** What to do when the attempt of the occurrence before has not ended: leave the new one out, record it, or record it afterwards. */
export type OverlapPolicy = 'skip' | 'allow' | 'wait'

/** When a call is made again and again. */
export interface ScheduleOptions {
  /** Minute, hour, day of month, month and day of week: `'0 4 * * 1-5'`. With six fields, the first has the seconds. */
  cron: string
  /** The time zone of the cron expression: `'Europe/Berlin'`. Default: UTC. */
  tz?: string | undefined
  /** Default: `'once'`. */
  missed?: MissedPolicy | undefined
  /** Default: `'allow'`. */
  overlap?: OverlapPolicy | undefined
}

/** A call and when it is made. `model` names the model of the attempts, if the project has several. */
export type ScheduleInput<T extends Targets> = CallInput<T> & ScheduleOptions & { model?: string | undefined }

/** A schedule as its row has it. */
export interface ScheduleDefinition {
  target: string
  method: string
  /** JSON text. */
  args: string
  cron: string
  tz: string
  missed: MissedPolicy
  overlap: OverlapPolicy
}

/** The schedules of schedule.ts. */
export class ScheduleList {
  readonly #targets: TargetList
  readonly #schedules: Record<string, AnySchedule>

  constructor(targets: TargetList, schedules: Record<string, AnySchedule>) {
    this.#targets = targets
    this.#schedules = schedules
  }

  /**
   * The schedules of one model, by their names.
   * @param models all models that share the list
   * @throws AsyncGenError INVALID_SCHEDULE, UnknownTargetError
   */
  definitions(model: string, models: readonly string[]): Map<string, ScheduleDefinition> {
    const own = Object.entries(this.#schedules).filter(([name, { model: named }]) => {
      if (named === undefined && models.length > 1)
        throw invalid(
          name,
          `it names no model, and ${models.join(' and ')} use schedule.ts. Add model: '${models[0]}'.`,
        )
      return named === undefined || named === model
    })
    return new Map(own.map(([name, schedule]) => [name, definitionOf(this.#targets, name, schedule)]))
  }
}

/** What the runtime sees of a schedule. */
export interface AnySchedule extends ScheduleOptions {
  target: object
  method: string
  args?: unknown[]
  model?: string | undefined
}

/**
 * Lists calls that workers record at certain times, by names of your choice. The compiler checks target, method and arguments.
 *
 *     export const schedules = defineSchedules(targets, {
 *       'morning report': { target: Reports, method: 'send', args: ['team'], cron: '0 7 * * 1-5', tz: 'Europe/Berlin' },
 *     })
 *
 * A worker throws INVALID_SCHEDULE when it starts, if one is not valid.
 */
export function defineSchedules<T extends Targets>(
  targets: TargetList<T>,
  schedules: Record<string, ScheduleInput<NoInfer<T>>>,
): ScheduleList {
  return new ScheduleList(targets as unknown as TargetList, schedules as unknown as Record<string, AnySchedule>)
}

const OPTIONS = ['target', 'method', 'args', 'model', 'cron', 'tz', 'missed', 'overlap']

const MAX_NAME = 200

/**
 * A schedule, checked.
 * @throws AsyncGenError INVALID_SCHEDULE, UnknownTargetError
 */
export function definitionOf(targets: TargetList, name: string, schedule: AnySchedule): ScheduleDefinition {
  checkName(name)
  if (!isPlainObject(schedule)) throw invalid(name, `it is ${described(schedule)}. It must be an object.`)
  const unknown = Object.keys(schedule).find((option) => !OPTIONS.includes(option))
  if (unknown !== undefined)
    throw invalid(name, `it has no option ${JSON.stringify(unknown)}. Its options are: ${OPTIONS.join(', ')}.`)
  const { target, method, args = [], cron, tz = 'UTC', missed = 'once', overlap = 'allow' } = schedule
  const path = { target: namedTarget(targets, name, target), method }
  ofSchedule(name, () => targets.resolve(path.target, path.method))
  if (!Array.isArray(args)) throw invalid(name, `args is ${String(args)}. It must be a list.`)
  const definition = { ...path, args: serialize(args, 'args'), cron, tz, missed, overlap }
  checkTimes(name, definition)
  return definition
}

/**
 * Names the schedule in the message of an error about its target.
 * @throws UnknownTargetError
 */
export function ofSchedule<Result>(name: string, find: () => Result): Result {
  try {
    return find()
  } catch (error) {
    if (!isAsyncGenError(error) || error.code !== 'UNKNOWN_TARGET') throw error
    throw new UnknownTargetError(`The schedule ${JSON.stringify(name)}: ${error.message}`)
  }
}

/** @throws AsyncGenError INVALID_SCHEDULE */
export function checkName(name: string): void {
  if (typeof name === 'string' && name !== '' && name.length <= MAX_NAME && !name.includes('\0') && name.isWellFormed())
    return
  throw new AsyncGenError(
    'INVALID_SCHEDULE',
    `The name of a schedule is ${described(name)}. It must be a text of 1 to ${MAX_NAME} characters.`,
  )
}

function namedTarget(targets: TargetList, name: string, target: unknown): string {
  if ((typeof target === 'object' && target !== null) || typeof target === 'function')
    return ofSchedule(name, () => targets.nameOf(target))
  throw invalid(name, `target is ${described(target)}. It must be the target itself, as targets.ts lists it.`)
}

/** @throws AsyncGenError INVALID_SCHEDULE */
export function checkTimes(
  name: string,
  { cron, tz, missed, overlap }: Pick<ScheduleDefinition, 'cron' | 'tz'> & { missed: string; overlap: string },
): void {
  oneOf(name, 'missed', missed, ['skip', 'once', 'all'])
  oneOf(name, 'overlap', overlap, ['skip', 'allow', 'wait'])
  occurrencesOf(name, cron, tz)
}

function oneOf(name: string, option: string, value: string, allowed: readonly string[]): void {
  if (!allowed.includes(value))
    throw invalid(name, `${option} is ${JSON.stringify(value)}. It must be one of: ${allowed.join(', ')}.`)
}

/** Loads schedule.ts: a function that imports it. */
export type ScheduleSource = () => Promise<object>

/** @throws AsyncGenError INVALID_SCHEDULE */
export async function loadSchedules(source: ScheduleSource): Promise<ScheduleList> {
  const { schedules } = (await source()) as { schedules?: unknown }
  if (schedules instanceof ScheduleList) return schedules
  throw new AsyncGenError(
    'INVALID_SCHEDULE',
    'The module that BaseAttempt imports exports no `schedules`. Export them in schedule.ts: export const schedules = defineSchedules(targets, {…})',
  )
}
