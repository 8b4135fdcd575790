import type { AttemptClass } from '../../attempt/attempt.js'
import { ALL, type PauseRow } from '../../attempt/pause-store.js'
import { ATTEMPT_ACTIONS, actionsFor, statusesOf } from '../actions/attempts.js'
import { pathTo, withQuery } from '../links.js'
import type { DashboardSettings } from '../options.js'
import type { AttemptPage, ListedAttempt } from '../queries/attempts.js'
import { type FilterInput, filterParameters, isNarrowed } from '../queries/filter.js'
import { AttemptRows } from './attempt-rows.js'
import { Chooser } from './chooser.js'
import { Pages } from './pages.js'
import { Empty, Live } from './parts.js'

interface AttemptListProps {
  settings: DashboardSettings
  Attempt: AttemptClass
  page: AttemptPage
  input: FilterInput
  isReversed: boolean
  isFirst: boolean
  pauses: readonly PauseRow[]
  canAct: boolean
  /** Why nothing may have matched. */
  hints: readonly string[]
}

const ORDERS: Record<AttemptPage['order'], [usual: string, reversed: string]> = {
  recorded: ['Newest first', 'Oldest first'],
  due: ['Due soonest first', 'Due latest first'],
  ended: ['Ended most recently first', 'Ended longest ago first'],
  started: ['Running longest first', ''],
}

/** A page of attempts, with the actions on them and the links to other pages. */
export function AttemptList({
  settings,
  Attempt,
  page,
  input,
  isReversed,
  isFirst,
  pauses,
  canAct,
  hints,
}: AttemptListProps) {
  const list = pathTo(settings, 'attempts', Attempt.name)
  const parameters = filterParameters(input)
  const actions = canAct ? actionsFor(input.status) : []
  const [usual, reversed] = ORDERS[page.order]
  const turned = withQuery(list, { ...parameters, order: isReversed ? '' : 'reversed' })
  const order = (
    <>
      {isReversed && reversed !== '' ? reversed : usual} {reversed !== '' && <a href={turned}>Reverse</a>}
    </>
  )
  const rows = (
    <AttemptRows
      settings={settings}
      name={Attempt.name}
      rows={page.rows}
      order={page.order}
      isPaused={(attempt) => pauses.some((pause) => holds(pause, Attempt.model, attempt))}
      canChoose={actions.length > 0}
    />
  )
  return (
    <>
      <Chooser
        noun="attempts"
        action={page.rows.length > 0 ? pathTo(settings, 'attempts', Attempt.name, 'confirm') : undefined}
        actions={actions.map((name) => ({
          name,
          ...ATTEMPT_ACTIONS[name],
          only: input.status ? '' : statusesOf(name).join(' and '),
        }))}
        parameters={parameters}
        order={order}
      >
        {page.rows.length === 0 ? (
          <Empty>{[emptyText(page, input), ...hints].join(' ')}</Empty>
        ) : (
          <Live id="list" isOn={isFirst && page.searched === undefined}>
            {rows}
          </Live>
        )}
      </Chooser>
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
}

function holds({ model, target, method }: PauseRow, ofModel: string, attempt: ListedAttempt): boolean {
  if (attempt.status !== 'pending' || model !== ofModel) return false
  return [ALL, attempt.target].includes(target) && [ALL, attempt.method].includes(method)
}

function emptyText({ searched }: AttemptPage, input: FilterInput): string {
  if (searched !== undefined) return 'No attempt matches so far.'
  return isNarrowed(input) || input.status ? 'No attempt matches.' : 'No attempt was recorded yet.'
}
