import { describePause, type PauseRow } from '../../attempt/pause-store.js'
import type { WorkerInfo } from '../../core/living-workers.js'
import { printable } from '../../core/printable.js'
import { RunTimeChart, ThroughputChart } from '../components/chart.js'
import { FailureGroups } from '../components/failure-groups.js'
import { Layout } from '../components/layout.js'
import { AttemptsCards, OtherCards } from '../components/number-cards.js'
import { Live } from '../components/parts.js'
import { pathTo, withQuery } from '../links.js'
import { classOf } from '../models.js'
import type { DashboardSettings } from '../options.js'
import type { PageContext } from '../page.js'
import {
  type AttemptsState,
  attemptStates,
  failureGroups,
  livingWorkers,
  SPANS,
  throughput,
  toastsState,
} from '../queries/overview.js'
import { currentPauses } from '../queries/pauses.js'
import { htmlResponse } from '../respond.js'

/** What is due, what runs and what has failed, at a glance. */
export async function overviewPage(context: PageContext): Promise<Response> {
  const { settings, role, url } = context
  const [states, toasts, workers, pauses] = await Promise.all([
    attemptStates(context),
    toastsState(context),
    livingWorkers(context),
    currentPauses(context),
  ])
  const span = url.searchParams.get('span') === 'day' ? SPANS.day : SPANS.hour
  const shown =
    settings.attempts.length === 0
      ? undefined
      : classOf(settings, url.searchParams.get('class') ?? settings.attempts[0]!.name)
  const [parts, failures] = shown
    ? await Promise.all([throughput(context, shown, span), failureGroups(context, shown)])
    : [[], []]
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="overview" title="Overview" url={url}>
      <h1>Overview</h1>
      <Live id="state">
        <Warnings settings={settings} states={states} workers={workers} pauses={pauses} />
        {states.map((state) => (
          <AttemptsCards key={state.Attempt.name} settings={settings} state={state} isOnly={states.length === 1} />
        ))}
        <OtherCards settings={settings} toasts={toasts} workers={workers} pauses={pauses} />
      </Live>
      {shown && (
        <Live id="throughput">
          <div class="heading">
            <h2>{settings.attempts.length > 1 ? `Throughput of ${shown.name}` : 'Throughput'}</h2>
            <Choices settings={settings} isDay={span === SPANS.day} shown={shown.name} />
          </div>
          <div class="charts">
            <ThroughputChart span={span} parts={parts} />
            <RunTimeChart span={span} parts={parts} />
          </div>
          <FailureGroups settings={settings} name={shown.name} groups={failures} />
        </Live>
      )}
    </Layout>,
  )
}

interface WarningsProps {
  settings: DashboardSettings
  states: readonly AttemptsState[]
  workers: readonly WorkerInfo[]
  pauses: readonly PauseRow[]
}

/** What stops work from being done. */
function Warnings({ settings, states, workers, pauses }: WarningsProps) {
  const isWaiting = states.some(({ due }) => due > 0)
  return (
    <>
      {workers.length === 0 && (
        <p class="notice problem">
          {`No worker is alive.${isWaiting ? ' Due attempts wait until one starts.' : ''} `}
          <a href={pathTo(settings, 'workers')}>How to start one</a>
        </p>
      )}
      {pauses.slice(0, 5).map((pause) => (
        <p key={`${pause.model}.${pause.target}.${pause.method}`} class="notice">
          {`${describePause(pause)}. `}
          <a href={pathTo(settings, 'pauses')}>Pauses</a>
        </p>
      ))}
    </>
  )
}

function Choices({ settings, isDay, shown }: { settings: DashboardSettings; isDay: boolean; shown: string }) {
  const first = settings.attempts[0]!.name
  const link = (label: string, isCurrent: boolean, name: string, span: string) => (
    <a
      key={label}
      href={withQuery(pathTo(settings), { class: name === first ? '' : name, span })}
      {...(isCurrent && { 'aria-current': 'true' as const })}
    >
      {printable(label, 60)}
    </a>
  )
  const day = isDay ? 'day' : ''
  return (
    <div class="choosers">
      {settings.attempts.length > 1 && (
        <nav class="choices" aria-label="Throughput of">
          {settings.attempts.map(({ name }) => link(name, name === shown, name, day))}
        </nav>
      )}
      <nav class="choices" aria-label="Throughput during">
        {link('hour', !isDay, shown, '')}
        {link('day', isDay, shown, 'day')}
      </nav>
    </div>
  )
}
