import { channel } from 'node:diagnostics_channel'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PageContext } from '../page.js'
import type { DashboardAction } from './action.js'

const actions = channel('async-gen:dashboard')

/** Counts what an action has changed. */
export type AddChanged = (changed: number) => void

/** What an action says of itself. */
export type ActionFacts = Omit<DashboardAction, 'user' | 'at'>

/** How long an action waits for `onAction`, in milliseconds. Otherwise, the user would not know that the action was done. */
const LONGEST_RECORDING = 10_000

/**
 * Reports an action to the diagnostics channel and to `onAction`.
 * @returns false if `onAction` threw, or did not end in time
 */
async function report({ settings, role }: PageContext, facts: ActionFacts): Promise<boolean> {
  const action: DashboardAction = { ...facts, user: role.user, at: new Date() }
  if (actions.hasSubscribers) actions.publish(action)
  const limit = new AbortController()
  try {
    const late = sleep(LONGEST_RECORDING, undefined, { ref: false, signal: limit.signal }).then(() => {
      throw new Error(`It did not end within ${LONGEST_RECORDING / 1000} s.`)
    })
    late.catch(() => {})
    await Promise.race([settings.onAction?.(action), late])
    return true
  } catch (error) {
    console.error('The option onAction of asyncDashboard failed:', error)
    return false
  } finally {
    limit.abort()
  }
}

/**
 * Runs an action and reports it, also if it throws.
 * @param run adds what it has changed as it goes on, so that the report of an action that throws has it too
 */
export async function reported(
  context: PageContext,
  facts: Omit<ActionFacts, 'changed' | 'error'>,
  run: (add: AddChanged) => Promise<void>,
): Promise<{ changed: number; isRecorded: boolean }> {
  let changed = 0
  try {
    await run((more) => {
      changed += more
    })
  } catch (error) {
    await report(context, { ...facts, changed, error: error instanceof Error ? error.message : String(error) })
    throw error
  }
  return { changed, isRecorded: await report(context, { ...facts, changed }) }
}
