import type { AttemptClass } from '../../attempt/attempt.js'
import { namedCall, nameHint } from '../../attempt/named-call.js'
import { ATTEMPT_STATUSES } from '../../attempt/row.js'
import { AttemptList } from '../components/attempt-list.js'
import { Classes } from '../components/classes.js'
import { Filters } from '../components/filters.js'
import { Layout } from '../components/layout.js'
import { cursorOf } from '../components/pages.js'
import { pathTo, withQuery } from '../links.js'
import { classOf, offeredCalls } from '../models.js'
import type { DashboardSettings } from '../options.js'
import type { PageContext } from '../page.js'
import { attemptPage } from '../queries/attempts.js'
import { countsByStatus, countTextOf, type StatusCounts } from '../queries/counts.js'
import { addedFields, type FilterInput, filterInput, filterOf, filterParameters } from '../queries/filter.js'
import { currentPauses } from '../queries/pauses.js'
import { htmlResponse } from '../respond.js'

/** The list of the attempts of one class. */
export async function attemptsPage(context: PageContext): Promise<Response> {
  const { settings, url, role, path } = context
  const Attempt = classOf(settings, path[1])
  const input = filterInput(url.searchParams)
  const isReversed = url.searchParams.get('order') === 'reversed'
  const cursor = cursorOf(url.searchParams)
  const [page, counts, pauses, calls] = await Promise.all([
    context.cache.get(`list ${url.pathname}${url.search}`, 1000, async () =>
      attemptPage(Attempt, await filterOf(Attempt, input), isReversed, cursor),
    ),
    countsByStatus(context, Attempt),
    currentPauses(context),
    offeredCalls([Attempt]),
  ])
  const list = pathTo(settings, 'attempts', Attempt.name)
  const hints = page.rows.length === 0 ? await hintsOf(Attempt, input) : []
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="attempts" title={titleOf(Attempt, settings)} url={url}>
      <h1>{titleOf(Attempt, settings)}</h1>
      <Classes settings={settings} current={Attempt.name} section="attempts" />
      <Tabs list={list} input={input} counts={counts} />
      <Filters action={list} input={input} calls={calls} fields={addedFields(Attempt)} isOpen={hasMore(input)} />
      <AttemptList
        {...{ settings, Attempt, page, input, isReversed, pauses, hints }}
        isFirst={!cursor}
        canAct={!role.readOnly}
      />
    </Layout>,
  )
}

function titleOf(Attempt: AttemptClass, { attempts }: DashboardSettings): string {
  return attempts.length > 1 ? `Attempts: ${Attempt.name}` : 'Attempts'
}

/** Whether a field is set that is hidden at first. */
function hasMore({ argument, token, batch, schedule, since, before, field }: FilterInput): boolean {
  return [argument, token, batch, schedule, since, before, field].some((text) => text !== '')
}

async function hintsOf(Attempt: AttemptClass, { call, batch, schedule }: FilterInput): Promise<string[]> {
  return await nameHint(Attempt, {
    ...(call !== '' && (await namedCall(Attempt, call))),
    ...(batch !== '' && { batch }),
    ...(schedule !== '' && { schedule }),
  })
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
