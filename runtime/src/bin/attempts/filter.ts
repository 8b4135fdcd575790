import type { AttemptFilter } from '../../attempt/binding.js'
import { ATTEMPT_STATUSES, type AttemptStatus } from '../../attempt/row.js'
import { type Duration, milliseconds } from '../../core/duration.js'
import { rowIdIn } from '../../core/row-id.js'
import { timeInput } from '../../core/time-input.js'
import { timeText } from '../../core/time-text.js'
import type { Flags } from '../flags.js'
import { UsageError } from '../usage.js'

const ENDED: readonly AttemptStatus[] = ['succeeded', 'failed', 'expired', 'cancelled']

/**
 * The filter of the flags; an empty object without any.
 * @param statuses those that the command concerns if no flag names one
 * @throws UsageError
 */
export function filterOf(flags: Flags, statuses: readonly AttemptStatus[] = []): AttemptFilter {
  const named = statusesOf(flags)
  const wanted = named.length > 0 ? named : statuses
  const [after, before] =
    wanted.length > 0 && wanted.every((status) => ENDED.includes(status))
      ? (['endedAfter', 'endedBefore'] as const)
      : (['createdAfter', 'createdBefore'] as const)
  const { target, method, token, batch, schedule, error, since, before: end } = flags
  if (since !== undefined && end !== undefined) refuseEmptySpan(since, end)
  return {
    ...(named.length > 0 && { status: named }),
    ...(target !== undefined && { target: filled(target, 'target') }),
    ...(method !== undefined && { method: filled(method, 'method') }),
    ...(token !== undefined && { idempotenceToken: filled(token, 'token') }),
    ...(batch !== undefined && { batch: batchOf(batch) }),
    ...(schedule !== undefined && { schedule: filled(schedule, 'schedule') }),
    ...(error !== undefined && { error: filled(error, 'error') }),
    ...(since !== undefined && { [after]: timeOf(since, 'since') }),
    ...(end !== undefined && { [before]: timeOf(end, 'before') }),
  }
}

/**
 * A length of time, or a time in UTC unless it names its zone.
 * @throws UsageError
 */
export function timeOf(text: string, flag: string): Date | Duration {
  const time = timeInput(text)
  if (time !== undefined) return time
  throw new UsageError(
    `--${flag} is ${JSON.stringify(text)}. It must be a length of time without a sign (30m, 1d) or a time in UTC (2026-11-01, 2026-11-01T08:30).`,
  )
}

/** @throws UsageError */
function refuseEmptySpan(since: string, before: string): void {
  const timeBack = (text: string, flag: string) => {
    const time = timeOf(text, flag)
    return time instanceof Date ? time : new Date(Date.now() - milliseconds(time))
  }
  const [from, to] = [timeBack(since, 'since'), timeBack(before, 'before')]
  if (from < to) return
  throw new UsageError(
    `Nothing lies between --since ${since} (${timeText(from)}) and --before ${before} (${timeText(to)}). --since must be the earlier time.`,
  )
}

function statusesOf(flags: Flags): AttemptStatus[] {
  const given = flags.status === undefined ? [] : flags.status.split(',').map((text) => text.trim())
  const unknown = given.find((text) => !ATTEMPT_STATUSES.some((status) => status === text))
  if (unknown !== undefined)
    throw new UsageError(
      `--status is ${JSON.stringify(unknown)}. It must be one or several of: ${ATTEMPT_STATUSES.join(', ')}.`,
    )
  return ATTEMPT_STATUSES.filter((status) => given.includes(status) || flags[status])
}

function batchOf(text: string): string {
  if (rowIdIn(text) !== undefined) return text
  throw new UsageError(`--batch is ${JSON.stringify(text)}. It must be the id of a batch, a whole number: 42.`)
}

function filled(text: string, flag: string): string {
  if (text !== '') return text
  throw new UsageError(`--${flag} needs a value.`)
}
