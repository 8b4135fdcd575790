import type { AttemptClass } from '../../attempt/attempt.js'
import type { AttemptFilter, RescheduleOptions } from '../../attempt/binding.js'
import { CHANGES, type Change, type ChangeOne, changeOne, rescheduling } from '../../attempt/change.js'
import type { AttemptStatus } from '../../attempt/row.js'
import type { DashboardActionName } from './action.js'
import type { AddChanged } from './audit.js'

/** An action on attempts. */
export type AttemptAction = Extract<DashboardActionName, 'retry' | 'cancel' | 'expire' | 'fail' | 'run-now'>

interface ActionTexts {
  /** On its button. */
  label: string
  /** `will be …`. */
  done: string
  /** What it means for one attempt and for several, on the page that asks. */
  meaning: [one: string, several: string]
  isDangerous: boolean
}

export const ATTEMPT_ACTIONS: Record<AttemptAction, ActionTexts> = {
  retry: {
    label: 'Retry',
    done: 'retried',
    meaning: [
      'It becomes pending and due now, with at least one more run.',
      'They become pending and due now, with at least one more run each.',
    ],
    isDangerous: false,
  },
  'run-now': {
    label: 'Run now',
    done: 'due now',
    meaning: [
      'It becomes due now. A worker takes it in the order of the queue.',
      'They become due now. Workers take them in the order of the queue.',
    ],
    isDangerous: false,
  },
  cancel: {
    label: 'Cancel',
    done: 'cancelled',
    meaning: [
      'It ends as cancelled. If it runs, its signal aborts, and its result is not stored.',
      'They end as cancelled. The signals of running calls abort, and their results are not stored.',
    ],
    isDangerous: true,
  },
  expire: {
    label: 'Expire',
    done: 'expired',
    meaning: ['It ends as expired, and does not run.', 'They end as expired, and do not run.'],
    isDangerous: true,
  },
  fail: {
    label: 'Fail',
    done: 'failed',
    meaning: ['It ends as failed, and does not run.', 'They end as failed, and do not run.'],
    isDangerous: true,
  },
}

export function isAttemptAction(name: string | null): name is AttemptAction {
  return name !== null && Object.hasOwn(ATTEMPT_ACTIONS, name)
}

/** The actions that can change attempts of a status, or of any. */
export function actionsFor(status: AttemptStatus | undefined): AttemptAction[] {
  const names = Object.keys(ATTEMPT_ACTIONS) as AttemptAction[]
  if (status === undefined) return names
  // A pending attempt is made due by `run-now`.
  return names.filter(
    (name) => CHANGES[changeOf(name)].allowed.includes(status) && !(name === 'retry' && status === 'pending'),
  )
}

/** The statuses that an action changes, if the filter names none. */
export function statusesOf(action: AttemptAction): readonly AttemptStatus[] {
  return CHANGES[changeOf(action)].statuses
}

/** Changes attempts one by one. Returns how many stay as they are. */
export async function changeEach(
  Attempt: AttemptClass,
  action: AttemptAction,
  ids: readonly string[],
  add: AddChanged,
): Promise<number> {
  const change = changeOf(action)
  const run: ChangeOne = change === 'reschedule' ? await rescheduling(Attempt, 0) : (attempt) => attempt[change]()
  let unchanged = 0
  for (const id of ids) {
    const { problem } = await changeOne(Attempt, change, id, run)
    if (problem === undefined) add(1)
    else unchanged++
  }
  return unchanged
}

/** Changes all attempts that match, or with `dryRun` counts them. */
export async function changeMatching(
  Attempt: AttemptClass,
  action: AttemptAction,
  filter: AttemptFilter,
  dryRun: boolean,
): Promise<number> {
  const change = changeOf(action)
  const options = { ...(change === 'reschedule' && { to: 0 }), dryRun }
  return await Attempt[CHANGES[change].bulk](filter, options as RescheduleOptions)
}

function changeOf(action: AttemptAction): Change {
  return action === 'run-now' ? 'reschedule' : action
}
