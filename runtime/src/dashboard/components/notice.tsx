import { printable } from '../../core/printable.js'
import { plural } from './text.js'

const DONE: Record<string, string> = {
  retry: 'retried',
  'run-now': 'made due now',
  cancel: 'cancelled',
  expire: 'expired',
  fail: 'marked as failed',
  pause: 'set',
  resume: 'ended',
  refresh: 'requested',
  build: 'requested',
}

const NOUNS: Record<string, [one: string, many: string]> = {
  pause: ['pause', 'pauses'],
  resume: ['pause', 'pauses'],
  refresh: ['refresh', 'refreshes'],
  build: ['build', 'builds'],
}

/** The outcome of an action. */
interface ActionOutcome {
  action: string
  changed: number
  unchanged?: number
  /** Whether `onAction` has recorded it. */
  isRecorded: boolean
}

/**
 * The address of the page that follows an action. Its parameters hold numbers and known words only, so that a link cannot forge a message.
 */
export function withNotice(address: string, { action, changed, unchanged = 0, isRecorded }: ActionOutcome): string {
  const parameters = new URLSearchParams({
    done: action,
    changed: String(changed),
    ...(unchanged > 0 && { unchanged: String(unchanged) }),
    ...(!isRecorded && { unrecorded: '1' }),
  })
  return `${address}${address.includes('?') ? '&' : '?'}${parameters}`
}

/** What the last action has done. */
export function Notice({ parameters }: { parameters: URLSearchParams }) {
  const action = parameters.get('done') ?? ''
  if (!Object.hasOwn(DONE, action)) return null
  const [changed, unchanged] = ['changed', 'unchanged'].map((name) => Number(parameters.get(name)) || 0) as [
    number,
    number,
  ]
  const [one, many] = NOUNS[action] ?? ['attempt', 'attempts']
  const isProblem = changed === 0 || unchanged > 0 || parameters.has('unrecorded')
  return (
    <div class={`notice ${isProblem ? 'problem' : ''}`} role="status">
      <p>
        {changed === 0 ? 'Nothing was changed.' : `${plural(changed, one, many)} ${printable(DONE[action]!)}.`}
        {unchanged > 0 &&
          ` ${plural(unchanged, one, many)} stayed as before: the status did not allow it, or another transaction had locked the row.`}
        {parameters.has('unrecorded') && ' The action was not recorded: the audit hook of this application failed.'}
      </p>
    </div>
  )
}
