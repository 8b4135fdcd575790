import type { AttemptClass } from '../../attempt/attempt.js'
import type { PauseRow } from '../../attempt/pause-store.js'
import { ALL } from '../../attempt/pause-store.js'
import { ATTEMPT_STATUSES, type AttemptStatus } from '../../attempt/row.js'
import { ATTEMPT_ACTIONS, actionsFor } from '../actions/attempts.js'
import { AttemptRows } from '../components/attempt-rows.js'
import { Filters } from '../components/filters.js'
import { Layout } from '../components/layout.js'
import { cursorOf, Pages } from '../components/pages.js'
import { Empty } from '../components/parts.js'
import { pathTo, withQuery } from '../links.js'
import { classOf } from '../models.js'
import type { DashboardSettings } from '../options.js'
import type { PageContext } from '../page.js'
import { type AttemptPage, attemptPage, type ListedAttempt } from '../queries/attempts.js'
import { countsByStatus, countTextOf, type StatusCounts } from '../queries/counts.js'
import {
  addedFields,
  type FilterInput,
  filterInput,
  filterOf,
  filterParameters,
  isNarrowed,
} from '../queries/filter.js'
import { currentPauses } from '../queries/pauses.js'
import { htmlResponse } from '../respond.js'

/** The list of the attempts of one class. */
export async function attemptsPage(context: PageContext): Promise<Response> {
  const { settings, url, role, path } = context
  const Attempt = classOf(settings, path[1])
  const input = filterInput(url.searchParams)
  const isReversed = url.searchParams.get('order') === 'reversed'
  const cursor = cursorOf(url.searchParams)
  const [page, counts, pauses, targets] = await Promise.all([
    filterOf(Attempt, input).then((filter) => attemptPage(Attempt, filter, isReversed, cursor)),
    countsByStatus(context, Attempt),
    currentPauses(context),
    Attempt.targets(),
  ])
  const list = pathTo(settings, 'attempts', Attempt.name)
  const calls = [...targets.names()].flatMap(([target, methods]) => [
    target,
    ...methods.map((method) => `${target}.${method}`),
  ])
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="attempts" title={titleOf(Attempt, settings)} url={url}>
      <h1>{titleOf(Attempt, settings)}</h1>
      {settings.attempts.length > 1 && <Classes settings={settings} current={Attempt.name} />}
      <Tabs list={list} input={input} counts={counts} />
      <Filters action={list} input={input} calls={calls} fields={addedFields(Attempt)} isOpen={hasMore(input)} />
      <List {...{ settings, Attempt, page, input, isReversed, pauses }} isFirst={!cursor} canAct={!role.readOnly} />
    </Layout>,
  )
}

function titleOf(Attempt: AttemptClass, { attempts }: DashboardSettings): string {
  return attempts.length > 1 ? `Attempts: ${Attempt.name}` : 'Attempts'
}

/** Whether a field is set that is hidden at first. */
function hasMore({ argument, token, since, before, field }: FilterInput): boolean {
  return [argument, token, since, before, field].some((text) => text !== '')
}

function Classes({ settings, current }: { settings: DashboardSettings; current: string }) {
  return (
    <nav class="classes" aria-label="Classes of attempts">
      {settings.attempts.map(({ name }) => (
        <a
          key={name}
          href={pathTo(settings, 'attempts', name)}
          {...(name === current && { 'aria-current': 'page' as const })}
        >
          {name}
        </a>
      ))}
    </nav>
  )
}

function Tabs({ list, input, counts }: { list: string; input: FilterInput; counts: StatusCounts | undefined }) {
  const statuses = [undefined, ...ATTEMPT_STATUSES]
  return (
    <nav class="tabs" aria-label="Status">
      {statuses.map((status) => (
        <a
          key={status ?? 'all'}
          href={withQuery(list, filterParameters({ ...input, status }))}
          {...(status === input.status && { 'aria-current': 'true' as const })}
        >
          {status ?? 'all'} {counts && <span class="count">{countTextOf(counts[status ?? 'all'])}</span>}
        </a>
      ))}
    </nav>
  )
}

interface ListProps {
  settings: DashboardSettings
  Attempt: AttemptClass
  page: AttemptPage
  input: FilterInput
  isReversed: boolean
  isFirst: boolean
  pauses: readonly PauseRow[]
  canAct: boolean
}

function List({ settings, Attempt, page, input, isReversed, isFirst, pauses, canAct }: ListProps) {
  const list = pathTo(settings, 'attempts', Attempt.name)
  const parameters = filterParameters(input)
  const actions = canAct ? actionsFor(input.status) : []
  const isPaused = ({ status, target, method }: ListedAttempt) =>
    status === 'pending' &&
    pauses.some(
      (pause) =>
        pause.model === Attempt.model && [ALL, target].includes(pause.target) && [ALL, method].includes(pause.method),
    )
  const content = (
    <>
      <div class="toolbar">
        <p class="order">
          <Order
            order={page.order}
            status={input.status}
            isReversed={isReversed}
            href={withQuery(list, { ...parameters, order: isReversed ? '' : 'reversed' })}
          />
        </p>
        {actions.length > 0 && page.rows.length > 0 && (
          <Actions actions={actions} parameters={parameters} list={list} />
        )}
      </div>
      {page.rows.length > 0 ? (
        <AttemptRows
          settings={settings}
          name={Attempt.name}
          rows={page.rows}
          order={page.order}
          isPaused={isPaused}
          canChoose={actions.length > 0}
        />
      ) : (
        <Empty>
          {page.searched
            ? 'No attempt matches so far.'
            : isNarrowed(input) || input.status
              ? 'No attempt matches.'
              : 'No attempt was recorded yet.'}
        </Empty>
      )}
      <Pages
        label="attempts"
        list={list}
        parameters={{ ...parameters, order: isReversed ? 'reversed' : '' }}
        next={page.next}
        searched={page.searched}
        isFirst={isFirst}
      />
    </>
  )
  if (!canAct) return content
  return (
    <form method="get" action={pathTo(settings, 'attempts', Attempt.name, 'confirm')}>
      {content}
    </form>
  )
}

const ORDERS: Record<AttemptPage['order'], [usual: string, reversed: string]> = {
  recorded: ['Newest first', 'Oldest first'],
  due: ['Due soonest first', 'Due latest first'],
  ended: ['Ended most recently first', 'Ended longest ago first'],
  started: ['Running longest first', 'Running longest first'],
}

function Order({
  order,
  status,
  isReversed,
  href,
}: {
  order: AttemptPage['order']
  status: AttemptStatus | undefined
  isReversed: boolean
  href: string
}) {
  const [usual, reversed] = ORDERS[order]
  if (status === 'running') return <>{usual}</>
  return (
    <>
      {isReversed ? reversed : usual} <a href={href}>Reverse</a>
    </>
  )
}

function Actions({
  actions,
  parameters,
  list,
}: {
  actions: ReturnType<typeof actionsFor>
  parameters: Record<string, string | undefined>
  list: string
}) {
  return (
    <fieldset class="actions">
      <legend>Chosen attempts</legend>
      {actions.map((action) => (
        <button
          key={action}
          type="submit"
          name="action"
          value={action}
          class={ATTEMPT_ACTIONS[action].isDangerous ? 'danger' : ''}
        >
          {ATTEMPT_ACTIONS[action].label}
        </button>
      ))}
      <details class="menu">
        <summary>All that match</summary>
        <ul>
          {actions.map((action) => (
            <li key={action}>
              <a
                href={withQuery(`${list}/confirm`, { ...parameters, action, all: '1' })}
              >{`${ATTEMPT_ACTIONS[action].label} all …`}</a>
            </li>
          ))}
        </ul>
      </details>
    </fieldset>
  )
}
