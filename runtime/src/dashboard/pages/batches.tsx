import type { AttemptClass } from '../../attempt/attempt.js'
import { Classes } from '../components/classes.js'
import { Layout } from '../components/layout.js'
import { cursorOf, Pages } from '../components/pages.js'
import { Call, Empty, Status, Table, Time } from '../components/parts.js'
import { countText } from '../components/text.js'
import { pathTo } from '../links.js'
import { classOf } from '../models.js'
import type { DashboardSettings } from '../options.js'
import type { PageContext } from '../page.js'
import { batchState, type ListedBatch, listBatches, OPEN_COUNTED } from '../queries/batches.js'
import { htmlResponse } from '../respond.js'

/** The batches of one class of attempts, the newest first. */
export async function batchesPage({ settings, role, url, path, cache }: PageContext): Promise<Response> {
  const Attempt = classOf(settings, path[1])
  const cursor = cursorOf(url.searchParams)
  const { batches, next } = await cache.get(`batches ${url.pathname}${url.search}`, 1000, () =>
    listBatches(Attempt, cursor?.id),
  )
  const list = pathTo(settings, 'batches', Attempt.name)
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="batches" title="Batches" url={url}>
      <h1>Batches</h1>
      <Classes settings={settings} current={Attempt.name} section="batches" />
      {batches.length === 0 ? (
        <Empty>There are no batches. Attempt.batch records one.</Empty>
      ) : (
        <BatchRows settings={settings} Attempt={Attempt} batches={batches} />
      )}
      <Pages
        label="batches"
        list={list}
        parameters={{}}
        next={next === undefined ? undefined : { id: next }}
        isFirst={!cursor}
      />
    </Layout>,
  )
}

interface BatchRowsProps {
  settings: DashboardSettings
  Attempt: AttemptClass
  batches: readonly ListedBatch[]
}

function BatchRows({ settings, Attempt, batches }: BatchRowsProps) {
  const head = (
    <>
      <th scope="col">Batch</th>
      <th scope="col">State</th>
      <th scope="col">Calls not ended</th>
      <th scope="col">Recorded</th>
      <th scope="col">Then</th>
    </>
  )
  return (
    <Table label="Batches" head={head}>
      {batches.map((batch) => (
        <tr key={batch.id}>
          <th scope="row">
            <a href={pathTo(settings, 'batches', Attempt.name, batch.id)}>{batch.id}</a>
          </th>
          <td>
            <Status name={batchState(batch)} />
          </td>
          <td>{batch.open === OPEN_COUNTED ? `${countText(OPEN_COUNTED - 1)}+` : countText(batch.open)}</td>
          <td class="time">
            <Time at={batch.createdAt} />
          </td>
          <td>
            <Follows settings={settings} Attempt={Attempt} batch={batch} />
          </td>
        </tr>
      ))}
    </Table>
  )
}

interface FollowsProps {
  settings: DashboardSettings
  Attempt: AttemptClass
  batch: ListedBatch
}

function Follows({ settings, Attempt, batch: { thenId, follows } }: FollowsProps) {
  if (thenId === null) return null
  if (follows === null) return <span class="closed">{`attempt ${thenId}, which was deleted`}</span>
  return (
    <>
      <a href={pathTo(settings, 'attempts', Attempt.name, thenId)}>
        <Call target={follows.target} method={follows.method} />
      </a>{' '}
      <Status name={follows.status} />
    </>
  )
}
