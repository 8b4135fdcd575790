import type { AttemptClass } from '../../attempt/attempt.js'
import { type NamedCall, namedCall } from '../../attempt/named-call.js'
import { ALL } from '../../attempt/pause-store.js'
import type { PauseOptions } from '../../attempt/pauses.js'
import { isSubclass } from '../../attempt/subclasses.js'
import { timeInput } from '../../core/time-input.js'
import type { DashboardSettings } from '../options.js'
import { PageError } from '../page.js'

/** What the user wants to pause or to resume. */
export interface PauseChoice {
  action: 'pause' | 'resume'
  Attempt: AttemptClass
  call: NamedCall
  /** As the user has entered them. */
  until: string
  reason: string
}

/** The classes whose calls can be paused. A pause is for a whole model. */
export function pausableClasses({ attempts }: DashboardSettings): AttemptClass[] {
  return attempts.filter((Attempt) => !isSubclass(Attempt))
}

/** @throws PageError */
export async function pauseChoice(settings: DashboardSettings, parameters: URLSearchParams): Promise<PauseChoice> {
  const text = (name: string) => parameters.get(name)?.trim() ?? ''
  const action = text('action')
  if (action !== 'pause' && action !== 'resume') throw new PageError(400, 'There is no such action.')
  const Attempt = pausableClasses(settings).find(({ model }) => model === text('model'))
  if (!Attempt) throw new PageError(404, 'The dashboard shows no such model of attempts.')
  // SQL may have paused a name that has a dot in it.
  const call = parameters.has('target')
    ? namesOf(text('target'), text('method'))
    : await namedCall(Attempt, text('call') || undefined)
  if (action === 'pause') await checkListed(Attempt, call)
  const [until, reason] = [text('until'), text('reason')]
  if (until !== '' && timeInput(until) === undefined)
    throw new PageError(
      400,
      'The end of a pause is a length of time, such as 1h, or a time in UTC, such as 2026-11-01T08:30.',
    )
  return { action, Attempt, call, until, reason: reason.slice(0, 1000) }
}

/** @throws UnknownTargetError */
async function checkListed(Attempt: AttemptClass, { target, method }: NamedCall): Promise<void> {
  if (target === undefined) return
  const targets = await Attempt.targets()
  if (method === undefined) targets.find(target)
  else targets.resolve(target, method)
}

function namesOf(target: string, method: string): NamedCall {
  return { ...(target !== ALL && { target }), ...(method !== ALL && method !== '' && { method }) }
}

/** Pauses or resumes calls. Returns how many pauses were changed. */
export async function changePause({
  action,
  Attempt,
  call: { target, method },
  until,
  reason,
}: PauseChoice): Promise<number> {
  const options = { ...(method !== undefined && { method }) }
  if (action === 'resume') {
    const isResumed = target === undefined ? await Attempt.resume() : await Attempt.resume(target, options)
    return isResumed ? 1 : 0
  }
  const pause: PauseOptions = { ...(until !== '' && { until: timeInput(until)! }), ...(reason !== '' && { reason }) }
  if (target === undefined) await Attempt.pause(pause)
  else await Attempt.pause(target, { ...options, ...pause })
  return 1
}
