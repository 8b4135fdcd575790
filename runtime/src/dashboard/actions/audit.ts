import { channel } from 'node:diagnostics_channel'
import type { PageContext } from '../page.js'
import type { DashboardAction } from './action.js'

const actions = channel('async-gen:dashboard')

/** Counts what an action has changed. */
export type AddChanged = (changed: number) => void

/** What an action says of itself. */
export type ActionFacts = Omit<DashboardAction, 'user' | 'at'>

/**
 * Reports an action to the diagnostics channel and to `onAction`.
 * @returns false if `onAction` threw
 */
async function report({ settings, role }: PageContext, facts: ActionFacts): Promise<boolean> {
  const action: DashboardAction = { ...facts, user: role.user, at: new Date() }
  if (actions.hasSubscribers) actions.publish(action)
  try {
    await settings.onAction?.(action)
    return true
  } catch (error) {
    console.error('The option onAction of asyncDashboard threw:', error)
    return false
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
