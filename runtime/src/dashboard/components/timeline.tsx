import type { ComponentChildren } from 'preact'
import type { ShownAttempt } from '../queries/attempt.js'
import { Time } from './parts.js'
import { durationText } from './text.js'

interface Event {
  at: Date
  /** The colour of its mark. */
  kind: string
  text: ComponentChildren
}

/** What has happened to an attempt, the oldest first. */
export function Timeline({ attempt }: { attempt: ShownAttempt }) {
  const now = attempt.now.getTime()
  return (
    <section class="card">
      <h2>Timeline</h2>
      <ol class="timeline">
        {eventsOf(attempt).map(({ at, kind, text }, i) => (
          <li key={i} class={kind}>
            <span>
              {text} <Clock at={at} />
            </span>{' '}
            <Time at={at} now={now} />
          </li>
        ))}
      </ol>
    </section>
  )
}

/** The time of day, with milliseconds: the events of a run are close to each other. */
function Clock({ at }: { at: Date }) {
  return Number.isNaN(at.getTime()) ? null : (
    <span class="clock">{at.toISOString().slice(0, -1).replace('T', ' ')}</span>
  )
}

function eventsOf(attempt: ShownAttempt): Event[] {
  const { status, numAttempts, createdAt, scheduledAt, startedAt, completedAt, expiresAt, now } = attempt
  const failures = (attempt.errors ?? []).flatMap((error): Event[] => {
    const { number, at, elapsed } = Object(error)
    const time = new Date(typeof at === 'string' ? at : Number.NaN)
    if (Number.isNaN(time.getTime())) return []
    const took = typeof elapsed === 'number' ? ` after ${durationText(elapsed * 1000)}` : ''
    return [{ at: time, kind: 'failed', text: `Run ${Number(number) || '?'} failed${took}` }]
  })
  const hasRun = startedAt !== null && numAttempts > 0
  const took = hasRun && completedAt ? ` after ${durationText(completedAt.getTime() - startedAt.getTime())}` : ''
  const past: Event[] = [
    { at: createdAt, kind: 'pending', text: 'Recorded' },
    ...failures,
    ...(hasRun ? [{ at: startedAt, kind: 'running', text: `Run ${numAttempts} began` }] : []),
    ...(completedAt
      ? [{ at: completedAt, kind: status, text: `Ended: ${status}${status === 'succeeded' ? took : ''}` }]
      : []),
  ]
  const next: Event[] =
    status === 'pending'
      ? [
          { at: scheduledAt, kind: 'next', text: scheduledAt <= now ? 'Due' : 'Due next' },
          ...(expiresAt ? [{ at: expiresAt, kind: 'expired', text: 'Expires' }] : []),
        ]
      : []
  return [...past.sort((one, other) => one.at.getTime() - other.at.getTime()), ...next]
}
