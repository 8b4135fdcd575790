import type { Database } from '../../core/database.js'
import { describeError } from '../../core/errors.js'
import { deserialize } from '../../core/serialize.js'
import type { Query } from '../../core/statement.js'
import type { TargetList } from '../targets.js'
import { invalid } from './cron.js'
import { checkName, checkTimes, ofSchedule } from './define.js'
import { type ScheduleState, type ScheduleStep, stepOf } from './due.js'
import { type ScheduledModel, scheduledModels } from './models.js'
import { scheduledAttemptStatements, scheduleStatements as sql } from './sql.js'

/** How many schedules one transaction looks at. */
const PAGE = 50

/**
 * How long a schedule waits that this process cannot use, in milliseconds. Another version of the code may know its target, its time zone or
 * its cron expression.
 */
const PROBLEM_DELAY = 60_000

/** A schedule that cannot be used, and why. */
export interface ScheduleProblem {
  model: string
  name: string
  message: string
}

export interface RecordedOccurrences {
  /** How many attempts were recorded. */
  recorded: number
  problems: ScheduleProblem[]
}

interface DueSchedule extends ScheduleState {
  target: string
  method: string
  /** JSON text. */
  args: string
  now: Date
}

interface Occurrence {
  schedule: DueSchedule
  at: Date
}

/**
 * Records an attempt for each occurrence that is due. Workers that do it at the same time share the schedules: each one is locked while its
 * occurrences are recorded, together with how far it has come.
 */
export async function recordOccurrences(db: Database): Promise<RecordedOccurrences> {
  const total: RecordedOccurrences = { recorded: 0, problems: [] }
  for (const model of scheduledModels(db).values()) {
    await db.query(scheduledAttemptStatements(model.store.table).endWait, [model.model])
    for (let more = (await db.query(sql.hasDue, [model.model])).length > 0; more; ) {
      const page = await recordPage(db, model)
      total.recorded += page.recorded
      total.problems.push(...page.problems)
      more = page.isFull
    }
  }
  return total
}

/** Whether `recordOccurrences` may have something to do, and how many milliseconds from now the next occurrence is due. */
export async function nextOccurrence(db: Database): Promise<{ isDue: boolean; wait: number | undefined }> {
  const models = [...scheduledModels(db).keys()]
  if (models.length === 0) return { isDue: false, wait: undefined }
  const [row] = await db.query<{ isDue: boolean; wait: number | null }>(sql.next, [models])
  const wait = row!.wait === null ? undefined : Math.max(0, Math.ceil(row!.wait))
  return { isDue: row!.isDue || wait === 0, wait }
}

async function recordPage(db: Database, model: ScheduledModel): Promise<RecordedOccurrences & { isFull: boolean }> {
  const targets = await model.targets()
  return await db.transaction(async (query) => {
    const problems: ScheduleProblem[] = []
    const due = await query<DueSchedule>(sql.lockDue, [model.model, PAGE])
    if (due.length === 0) return { recorded: 0, problems, isFull: false }
    const running = await runningOf(query, model, due)
    const occurrences: Occurrence[] = []
    for (const schedule of due) {
      const { step, problem } = decide(schedule, targets, running.has(schedule.name))
      if (problem !== null) problems.push({ model: model.model, name: schedule.name, message: problem })
      occurrences.push(...step.record.map((at) => ({ schedule, at })))
      await store(query, model, schedule, step, problem)
    }
    const recorded = await record(query, model, occurrences)
    return { recorded, problems, isFull: due.length === PAGE || occurrences.length > 0 }
  })
}

/** What to do about a schedule now; if it cannot be used, why, so that it does not stop the others. */
function decide(
  schedule: DueSchedule,
  targets: TargetList,
  isRunning: boolean,
): { step: ScheduleStep; problem: string | null } {
  const { name, target, method, args, now } = schedule
  try {
    checkName(name)
    checkTimes(name, schedule)
    requireList(name, args)
    const step = stepOf(schedule, now, isRunning)
    if (step.record.length > 0) ofSchedule(name, () => targets.resolve(target, method))
    return { step, problem: null }
  } catch (error) {
    const step = { ...schedule, record: [], next: new Date(now.getTime() + PROBLEM_DELAY) }
    return { step, problem: describeError(error).message }
  }
}

/** @throws AsyncGenError INVALID_SCHEDULE */
function requireList(name: string, args: string): void {
  if (!isList(args)) throw invalid(name, `args is ${args.slice(0, 100)}. It must be a list.`)
}

function isList(json: string): boolean {
  try {
    return Array.isArray(deserialize(JSON.parse(json)))
  } catch {
    return false
  }
}

async function store(
  query: Query,
  { model }: ScheduledModel,
  { name }: DueSchedule,
  { record, next, recordedUntil, waiting }: ScheduleStep,
  error: string | null,
): Promise<void> {
  await query(sql.store, [model, name, record.at(-1) ?? null, next, recordedUntil, waiting, error])
}

async function runningOf(query: Query, { store }: ScheduledModel, due: readonly DueSchedule[]): Promise<Set<string>> {
  const names = due.filter(({ overlap }) => overlap !== 'allow').map(({ name }) => name)
  if (names.length === 0) return new Set()
  const rows = await query<{ name: string }>(scheduledAttemptStatements(store.table).running, [names])
  return new Set(rows.map(({ name }) => name))
}

/** The token of an occurrence. Any number of workers record one row. */
function occurrenceToken(name: string, at: Date): string {
  return `${name}@${at.toISOString()}`
}

async function record(
  query: Query,
  { store, content, priorities }: ScheduledModel,
  occurrences: readonly Occurrence[],
): Promise<number> {
  if (occurrences.length === 0) return 0
  const encryptor = content.nameFor()
  const ids = encryptor === null ? [] : await store.reserveIds(occurrences.length)
  const rows = occurrences.map(({ schedule: { name, target, method, args }, at }, i) => {
    const id = ids[i]
    return {
      id: id?.toString(),
      target,
      method,
      args: id === undefined ? args : content.seal(args, { id, target, method, encryptor }, 'args'),
      encryptor,
      priority: priorities.async,
      token: occurrenceToken(name, at),
      at,
      schedule: name,
    }
  })
  return (await query(scheduledAttemptStatements(store.table).record, [JSON.stringify(rows)])).length
}
