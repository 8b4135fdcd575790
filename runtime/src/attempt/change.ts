import type { Duration } from '../core/duration.js'
import { AsyncGenError } from '../core/errors.js'
import { printable } from '../core/printable.js'
import type { AttemptClass, AttemptRecord } from './attempt.js'
import { rowFilter, timeOf } from './filter.js'
import type { AttemptStatus } from './row.js'

/** A change that a person makes to attempts, in the shell or in the dashboard. */
export type Change = 'retry' | 'cancel' | 'expire' | 'fail' | 'reschedule'

interface Verb {
  done: string
  /** The method for all attempts that match a filter. */
  bulk: 'retryAll' | 'cancelAll' | 'expireAll' | 'failAll' | 'rescheduleAll'
  /** The statuses that it changes if the filter names none. */
  statuses: AttemptStatus[]
  /** The statuses of single attempts that it changes. */
  allowed: AttemptStatus[]
}

/** The statuses of attempts that have not begun. */
const WAITING: AttemptStatus[] = ['pending', 'blocked']

export const CHANGES: Record<Change, Verb> = {
  retry: {
    done: 'retried',
    bulk: 'retryAll',
    statuses: ['failed'],
    allowed: ['pending', 'failed', 'expired', 'cancelled'],
  },
  cancel: {
    done: 'cancelled',
    bulk: 'cancelAll',
    statuses: ['pending', 'blocked', 'running'],
    allowed: ['pending', 'blocked', 'running'],
  },
  expire: { done: 'expired', bulk: 'expireAll', statuses: WAITING, allowed: WAITING },
  fail: { done: 'failed', bulk: 'failAll', statuses: WAITING, allowed: WAITING },
  reschedule: { done: 'rescheduled', bulk: 'rescheduleAll', statuses: WAITING, allowed: WAITING },
}

/** What a change has done to one attempt. */
export interface ChangeOutcome {
  id: string
  /** Why it was not changed. */
  problem?: string
  name?: string
}

export type ChangeOne = (attempt: AttemptRecord) => Promise<void>

/** Moves an attempt that is pending or blocked. The class has a method for many rows only. */
export async function rescheduling(Attempt: AttemptClass, to: Date | Duration): Promise<ChangeOne> {
  const [filter, scheduledAt, task] = await Promise.all([
    rowFilter(Attempt, {}, 'rescheduleAll'),
    timeOf(Attempt.db, to, 'reschedule', 'to'),
    Attempt.store.taskToAdd(),
  ])
  return async ({ id }) => {
    const bulk = {
      operation: 'reschedule' as const,
      filter: { ...filter, statuses: WAITING },
      scheduledAt,
      task,
    }
    const { changed } = await Attempt.store.changeBatch(bulk, `{${id}}`)
    if (changed === 0)
      throw new AsyncGenError(
        'INVALID_STATE',
        `Attempt ${id} is neither pending nor blocked any more, or another transaction has locked it.`,
      )
  }
}

/**
 * Changes one attempt, or says why it cannot be changed. It uses the class of the host, so overrides apply.
 * @param changeIt undefined: it only checks
 */
export async function changeOne(
  Attempt: AttemptClass,
  change: Change,
  id: string,
  changeIt?: ChangeOne,
): Promise<ChangeOutcome> {
  const attempt = await Attempt.find(id)
  if (!attempt) return { id, problem: `There is no attempt ${id} of ${Attempt.model}.` }
  const name = printable(`${attempt.target}.${attempt.method}`, 60)
  if (!CHANGES[change].allowed.includes(attempt.status)) return { id, problem: refusal(attempt, change) }
  if (!changeIt) return { id, name }
  try {
    await changeIt(attempt)
    return { id, name }
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'INVALID_STATE') throw error
    return { id, problem: refusal(await attempt.reload(), change) }
  }
}

/** `pending, blocked or running`. */
const statuses = new Intl.ListFormat('en-GB', { type: 'disjunction' })

function refusal({ id, status }: AttemptRecord, change: Change): string {
  const { done, allowed } = CHANGES[change]
  if (status === done) return `Attempt ${id} is already ${status}.`
  if (allowed.includes(status)) return `Attempt ${id} was not ${done}: another transaction has locked it. Try again.`
  return `Attempt ${id} is ${status}. Only attempts that are ${statuses.format(allowed)} can be ${done}.`
}
