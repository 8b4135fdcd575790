import { printable } from '../../core/printable.js'
import { Chooser } from '../components/chooser.js'
import { Layout } from '../components/layout.js'
import { cursorOf, Pages } from '../components/pages.js'
import { Empty, Live, Name, Table, Time } from '../components/parts.js'
import { countText, durationText } from '../components/text.js'
import { ToastRows } from '../components/toast-rows.js'
import { pathTo, withQuery } from '../links.js'
import type { DashboardSettings } from '../options.js'
import { type PageContext, PageError } from '../page.js'
import {
  LISTED_STATES,
  type ListedState,
  type ToastFilter,
  type ToastName,
  toastNames,
  toastPage,
} from '../queries/toasts.js'
import { htmlResponse } from '../respond.js'
import { MAX_SUMMARIZED } from '../sql/toasts.js'

/** The list of toasts, and what they cost by name. */
export async function toastsPage(context: PageContext): Promise<Response> {
  const { settings, role, url } = context
  const filter = toastFilter(url.searchParams)
  const cursor = cursorOf(url.searchParams)
  const [names, page] = await Promise.all([toastNames(context), toastPage(context, filter, cursor)])
  const list = pathTo(settings, 'toasts')
  const parameters = { name: filter.name, key: filter.key, state: filter.state }
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="toasts" title="Toasts" url={url}>
      <h1>Toasts</h1>
      {names.length > 0 && <Names settings={settings} names={names} />}
      <h2>Values</h2>
      <nav class="tabs" aria-label="State">
        {[undefined, ...LISTED_STATES].map((state) => (
          <a
            key={state ?? 'all'}
            href={withQuery(list, { ...parameters, state })}
            {...(state === filter.state && { 'aria-current': 'true' as const })}
          >
            {state ?? 'all'}
          </a>
        ))}
      </nav>
      <Filter list={list} filter={filter} names={names} />
      <Chooser
        noun="toasts"
        action={role.readOnly || page.rows.length === 0 ? undefined : pathTo(settings, 'toasts', 'confirm')}
        actions={[{ name: 'refresh', label: 'Refresh' }]}
        parameters={parameters}
      >
        {page.rows.length > 0 ? (
          <Live id="list" isOn={!cursor && page.searched === undefined}>
            <ToastRows settings={settings} rows={page.rows} canChoose={!role.readOnly} />
          </Live>
        ) : (
          <Empty>{names.length === 0 ? 'No toast was read yet.' : 'No toast matches.'}</Empty>
        )}
      </Chooser>
      <Pages
        label="toasts"
        list={list}
        parameters={parameters}
        next={page.next}
        searched={page.searched}
        isFirst={!cursor}
      />
    </Layout>,
  )
}

/**
 * The filter that the user has chosen.
 * @throws PageError
 */
export function toastFilter(parameters: URLSearchParams): ToastFilter {
  const [name, key, state] = ['name', 'key', 'state'].map(
    (field) => parameters.get(field)?.trim().toWellFormed() ?? '',
  ) as [string, string, string]
  if (state !== '' && !LISTED_STATES.some((known) => known === state))
    throw new PageError(400, 'There is no such state.')
  if (name.length > 1000 || key.length > 2000 || `${name}${key}`.includes('\0'))
    throw new PageError(400, 'The filter is not valid.')
  return { name, key, state: state === '' ? undefined : (state as ListedState) }
}

function Names({ settings, names }: { settings: DashboardSettings; names: readonly ToastName[] }) {
  const total = names[0]?.total ?? 0
  const head = (
    <>
      <th scope="col">Name</th>
      <th scope="col" class="number">
        Toasts
      </th>
      <th scope="col" class="number wide">
        Stale
      </th>
      <th scope="col" class="number">
        Failing
      </th>
      <th scope="col" class="number wide">
        Mean time
      </th>
      <th scope="col" class="number wide">
        Longest
      </th>
      <th scope="col" class="wide">
        Oldest value
      </th>
    </>
  )
  return (
    <section>
      <h2>By name</h2>
      <Table label="Toasts by name" head={head}>
        {names.map(({ name, count, stale, failing, elapsed, slowest, oldest }) => (
          <tr key={name}>
            <th scope="row">
              <a href={withQuery(pathTo(settings, 'toasts'), { name })}>
                <Name text={name} />
              </a>
            </th>
            <td class="number">{countText(count)}</td>
            <td class="number wide">{countText(stale)}</td>
            <td class={`number ${failing > 0 ? 'bad' : ''}`}>{countText(failing)}</td>
            <td class="number wide">{elapsed === null ? '' : durationText(elapsed * 1000)}</td>
            <td class="number wide">{slowest === null ? '' : durationText(slowest * 1000)}</td>
            <td class="wide time">{oldest && <Time at={oldest} />}</td>
          </tr>
        ))}
      </Table>
      {total >= MAX_SUMMARIZED && <p class="note">{`Of the ${countText(MAX_SUMMARIZED)} newest toasts.`}</p>}
    </section>
  )
}

function Filter({ list, filter, names }: { list: string; filter: ToastFilter; names: readonly ToastName[] }) {
  return (
    <search aria-label="Toasts">
      <form class="filters" method="get" action={list}>
        {filter.state && <input type="hidden" name="state" value={filter.state} />}
        <label>
          <span>Name</span>
          <input name="name" value={filter.name} list="names" placeholder="oat.breakfast" autocomplete="off" />
          <datalist id="names">
            {names.map(({ name }) => (
              <option key={name} value={printable(name, 200)} />
            ))}
          </datalist>
        </label>
        <label>
          <span>Key</span>
          <input name="key" value={filter.key} placeholder="the whole key, such as 7" autocomplete="off" />
        </label>
        <button type="submit" class="primary">
          Filter
        </button>
      </form>
    </search>
  )
}
