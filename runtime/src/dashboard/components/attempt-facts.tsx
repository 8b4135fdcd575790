import type { ComponentChildren } from 'preact'
import { limitKeyText } from '../../attempt/limits/describe.js'
import { printable } from '../../core/printable.js'
import { pathTo, withQuery } from '../links.js'
import type { DashboardSettings } from '../options.js'
import type { ShownAttempt } from '../queries/attempt.js'
import { Time } from './parts.js'
import { durationText, printableLines } from './text.js'

interface AttemptFactsProps {
  settings: DashboardSettings
  /** The name of the class. */
  name: string
  attempt: ShownAttempt
}

/** What happens if an attempt that it waits for fails. */
const IF_FAILED: Record<string, string> = {
  cancel: 'it is cancelled',
  run: 'it runs when all have ended',
  wait: 'it waits for a retry',
}

/** What is known of an attempt, without its content. */
export function AttemptFacts({ settings, name, attempt }: AttemptFactsProps) {
  const { encryptor, timeoutMs, token, parentId, batchId, schedule, limitKey, lockedBy, type } = attempt
  const now = attempt.now.getTime()
  const time = (at: Date | null) => at && <Time at={at} now={now} />
  const facts: [label: string, value: ComponentChildren][] = [
    ['Class', type !== null && type !== name && printable(type, 200)],
    ['Runs', `${attempt.numAttempts} of ${attempt.maxAttempts}`],
    ['Snoozes', attempt.snoozes > 0 && attempt.snoozes],
    ['Priority', attempt.priority],
    ['Recorded', time(attempt.createdAt)],
    ['Due', (attempt.status === 'pending' || attempt.status === 'blocked') && time(attempt.scheduledAt)],
    ['Expires', time(attempt.expiresAt)],
    ['Ended', time(attempt.completedAt)],
    ['Time limit', timeoutMs !== null && durationText(timeoutMs)],
    ['Worker', lockedBy !== null && <a href={pathTo(settings, 'workers')}>{lockedBy}</a>],
    ['Token', token !== null && <bdi>{printableLines(token)}</bdi>],
    ['Encrypted with', encryptor !== null && printable(encryptor, 200)],
    ['Parent', parentId !== null && <a href={pathTo(settings, 'attempts', name, parentId)}>{`attempt ${parentId}`}</a>],
    ['Batch', batchId !== null && <a href={pathTo(settings, 'batches', name, batchId)}>{`batch ${batchId}`}</a>],
    [
      'Schedule',
      schedule !== null && (
        <a href={withQuery(pathTo(settings, 'attempts', name), { schedule })}>
          <bdi>{printableLines(schedule)}</bdi>
        </a>
      ),
    ],
    [
      'Limit',
      limitKey !== null && (
        <a href={pathTo(settings, 'limits')}>
          <bdi>{limitKeyText(limitKey)}</bdi>
        </a>
      ),
    ],
    ['If one of those fails', (attempt.afterCount ?? 0) > 0 && IF_FAILED[attempt.ifFailed ?? 'cancel']],
    ['Trace', traceOf(settings, attempt)],
    ...Object.entries(attempt.data).map(([field, value]): [string, ComponentChildren] => [
      printable(field, 100),
      value === null ? <span class="closed">none</span> : <bdi>{printableLines(value)}</bdi>,
    ]),
  ]
  return (
    <section class="card">
      <h2>Facts</h2>
      <dl>
        {facts.map(([label, value]) =>
          value === null || value === false || value === undefined ? null : (
            <div key={label}>
              <dt>{label}</dt>
              <dd>{value}</dd>
            </div>
          ),
        )}
      </dl>
    </section>
  )
}

function traceOf({ traceUrl }: DashboardSettings, { traceparent }: ShownAttempt): ComponentChildren {
  const [, id] = /^[\da-f]{2}-([\da-f]{32})-/.exec(traceparent ?? '') ?? []
  if (id === undefined) return null
  const url = traceUrl?.(id)
  return url !== undefined && /^https?:\/\//i.test(url) ? (
    <a href={url} rel="noreferrer">
      {id}
    </a>
  ) : (
    <code>{id}</code>
  )
}
