import { listSchedules, type ScheduleStatus } from '../../attempt/schedules/rows.js'
import { printable } from '../../core/printable.js'
import { Layout } from '../components/layout.js'
import { Call, Empty, Name, Table, Time } from '../components/parts.js'
import type { PageContext } from '../page.js'
import { htmlResponse } from '../respond.js'

/** A list that is longer is for SQL. */
const SHOWN = 500

/** The schedules, with their last and next occurrences. */
export async function schedulesPage(context: PageContext): Promise<Response> {
  const { db, settings, role, url, cache } = context
  const schedules = await cache.get('schedules', 1000, () => listSchedules(db, { limit: SHOWN + 1 }))
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="schedules" title="Schedules" url={url}>
      <h1>Schedules</h1>
      {schedules.length === 0 ? (
        <Empty>There are no schedules. A worker reads schedule.ts when it starts.</Empty>
      ) : (
        <ScheduleRows schedules={schedules.slice(0, SHOWN)} />
      )}
      {schedules.length > SHOWN && <p>{`These are the first ${SHOWN}, by name.`}</p>}
    </Layout>,
  )
}

function ScheduleRows({ schedules }: { schedules: readonly ScheduleStatus[] }) {
  const head = (
    <>
      <th scope="col">Schedule</th>
      <th scope="col">Call</th>
      <th scope="col">Times</th>
      <th scope="col">Last</th>
      <th scope="col">Next</th>
    </>
  )
  return (
    <Table label="Schedules" head={head}>
      {schedules.map(({ model, name, inCode, target, method, cron, tz, lastAt, nextAt, waiting, error }) => (
        <tr key={`${model}.${name}`}>
          <th scope="row">
            <Name text={name} />
            {!inCode && <span class="under">a row of async_schedules</span>}
            {error !== null && <span class="latest-error">{printable(error, 300)}</span>}
          </th>
          <td>
            <Call target={target} method={method} />
            <span class="under">{printable(model, 100)}</span>
          </td>
          <td>
            <bdi>{printable(cron, 100)}</bdi>
            <span class="under">{printable(tz, 60)}</span>
          </td>
          <td class="time">{lastAt ? <Time at={lastAt} /> : 'never'}</td>
          <td class="time">{waiting ? 'when the run before has ended' : nextAt ? <Time at={nextAt} /> : '–'}</td>
        </tr>
      ))}
    </Table>
  )
}
