import type { ComponentChildren } from 'preact'
import type { PauseRow } from '../../attempt/pause-store.js'
import type { WorkerInfo } from '../../core/living-workers.js'
import { pathTo, withQuery } from '../links.js'
import type { DashboardSettings } from '../options.js'
import { type Count, countTextOf } from '../queries/counts.js'
import type { AttemptsState, ToastsState } from '../queries/overview.js'
import { MAX_COUNTED } from '../sql/counts.js'
import { countText, durationText, plural } from './text.js'

/** The numbers of one table of attempts. */
export function AttemptsCards({
  settings,
  state,
  isOnly,
}: {
  settings: DashboardSettings
  state: AttemptsState
  isOnly: boolean
}) {
  const { Attempt, due, running, isMore, counts } = state
  const list = (status: string) => withQuery(pathTo(settings, 'attempts', Attempt.name), { status })
  return (
    <section aria-label={isOnly ? 'Attempts' : `Attempts of ${Attempt.name}`}>
      {!isOnly && <h2>{Attempt.name}</h2>}
      <ul class="cards">
        <Card label="Due" href={list('pending')} count={{ count: due, isEstimate: false }} isMore={isMore && due > 0}>
          {dueText(state)}
        </Card>
        <Card label="Running" href={list('running')} count={{ count: running, isEstimate: false }} kind="running">
          now
        </Card>
        {counts && (
          <>
            <Card
              label="Failed"
              href={list('failed')}
              count={counts.failed}
              kind={counts.failed.count > 0 ? 'failed' : ''}
            >
              and not tried again
            </Card>
            <Card label="Succeeded" href={list('succeeded')} count={counts.succeeded} kind="succeeded">
              and not deleted yet
            </Card>
          </>
        )}
      </ul>
    </section>
  )
}

/** If more rows wait than are counted, nobody knows what the others wait for. */
function dueText({ due, paused, limited, oldestDue, isMore }: AttemptsState): string {
  const counted = (count: number) =>
    due === 0 && isMore ? `${countText(Math.min(count, MAX_COUNTED))}+` : countText(count)
  const texts = [
    ...(due > 0 ? [`the oldest for ${durationText(oldestDue * 1000)}`] : []),
    ...(paused > 0 ? [`${counted(paused)} paused`] : []),
    ...(limited > 0 ? [`${counted(limited)} waiting for a limit`] : []),
  ]
  return texts.length > 0 ? texts.join(', ') : 'nothing waits'
}

/** The numbers of workers, toasts and pauses. */
export function OtherCards({
  settings,
  toasts,
  workers,
  pauses,
}: { settings: DashboardSettings; toasts: ToastsState } & {
  workers: readonly WorkerInfo[]
  pauses: readonly PauseRow[]
}) {
  return (
    <ul class="cards">
      <Card
        label="Workers"
        href={pathTo(settings, 'workers')}
        count={{ count: workers.length, isEstimate: false }}
        kind={workers.length === 0 ? 'failed' : ''}
      >
        alive
      </Card>
      <Card
        label="Toasts to refresh"
        href={withQuery(pathTo(settings, 'toasts'), { state: 'queued' })}
        count={{ count: toasts.due, isEstimate: false }}
      >
        {toasts.due > 0 ? `the oldest for ${durationText(toasts.oldestDue * 1000)}` : 'nothing waits'}
        {toasts.running > 0 && `, ${plural(toasts.running, 'computation')} now`}
      </Card>
      <Card
        label="Failing toasts"
        href={withQuery(pathTo(settings, 'toasts'), { state: 'failing' })}
        count={{ count: toasts.failing, isEstimate: false }}
        kind={toasts.failing > 0 ? 'failed' : ''}
      >
        {settings.reports.length > 0 ? 'and reports, tried again' : 'and tried again'}
      </Card>
      <Card label="Pauses" href={pathTo(settings, 'pauses')} count={{ count: pauses.length, isEstimate: false }}>
        in force
      </Card>
    </ul>
  )
}

interface CardProps {
  label: string
  href: string
  count: Count
  /** Whether there are more than were counted. */
  isMore?: boolean
  kind?: string
  children: ComponentChildren
}

function Card({ label, href, count, isMore = false, kind = '', children }: CardProps) {
  return (
    <li>
      <a class={`stat ${kind}`} href={href}>
        <span class="label">{label}</span>
        <strong>{isMore ? `${count.count.toLocaleString('en')}+` : countTextOf(count)}</strong>
        <span class="under">{children}</span>
      </a>
    </li>
  )
}
