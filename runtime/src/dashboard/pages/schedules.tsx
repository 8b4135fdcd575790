import { listSchedules, type ScheduleStatus } from '../../attempt/schedules/rows.js'
import { printable } from '../../core/printable.js'
import { localTimeText } from '../../core/time-text.js'
import { Layout } from '../components/layout.js'
import { Call, Empty, Name, Table, Time } from '../components/parts.js'
import { pathTo, withQuery } from '../links.js'
import type { DashboardSettings } from '../options.js'
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
        <ScheduleRows settings={settings} schedules={schedules.slice(0, SHOWN)} />
      )}
      {schedules.length > SHOWN && <p>{`These are the first ${SHOWN}, by name.`}</p>}
    </Layout>,
  )
}

interface ScheduleRowsProps {
  settings: DashboardSettings
  schedules: readonly ScheduleStatus[]
}

function ScheduleRows({ settings, schedules }: ScheduleRowsProps) {
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
            <Attempts {...{ settings, model, name }} />
            {!inCode && <span class="under">a row of async_schedules</span>}
            {error !== null && <span class="latest-error">{printable(error, 300)}</span>}
          </th>
          <td>
            <Call target={target} method={method} />
            <span class="under">{printable(model, 100)}</span>
            {!settings.attempts.some((each) => each.model === model) && (
              <span class="under">no class of this model is shown here</span>
            )}
          </td>
          <td>
            <bdi>{printable(cron, 100)}</bdi>
            <span class="under">{printable(tz, 60)}</span>
          </td>
          <td class="time">{lastAt ? <ZoneTime at={lastAt} tz={tz} /> : 'never'}</td>
          <td class="time">
            {waiting ? (
              'when the run before has ended'
            ) : nextAt && error === null ? (
              <ZoneTime at={nextAt} tz={tz} />
            ) : (
              '–'
            )}
          </td>
        </tr>
      ))}
    </Table>
  )
}

/** A time, and what the clocks of the schedule's zone show then. */
function ZoneTime({ at, tz }: { at: Date; tz: string }) {
  const local = localTimeText(at, tz)
  return (
    <>
      <Time at={at} />
      {local !== undefined && <span class="under">{`${local} there`}</span>}
    </>
  )
}

/** The name of a schedule, as a link to what it has recorded. */
function Attempts({ settings, model, name }: { settings: DashboardSettings; model: string; name: string }) {
  const Attempt = settings.attempts.find((each) => each.model === model)
  if (!Attempt) return <Name text={name} />
  return (
    <a href={withQuery(pathTo(settings, 'attempts', Attempt.name), { schedule: name })}>
      <Name text={name} />
    </a>
  )
}
