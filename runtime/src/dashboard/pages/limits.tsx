import { describeNumbers, keyText, limitName } from '../../attempt/limits/describe.js'
import type { KeyStatus, LimitStatus } from '../../attempt/limits/limits.js'
import { pausableClasses } from '../actions/pauses.js'
import { Layout } from '../components/layout.js'
import { Empty, Name, Table, Time } from '../components/parts.js'
import type { DashboardSettings } from '../options.js'
import type { PageContext } from '../page.js'
import { htmlResponse } from '../respond.js'

interface ShownLimit extends LimitStatus {
  model: string
}

/** The limits per key: what runs, who waits, and which keys have no room. */
export async function limitsPage({ settings, role, url, cache }: PageContext): Promise<Response> {
  const limits = await cache.get('limits', 1000, () => limitsOf(settings))
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="limits" title="Limits" url={url}>
      <h1>Limits</h1>
      {limits.length === 0 && <Empty>targets.ts has no limits.</Empty>}
      {limits.map((limit) => (
        <LimitRows key={`${limit.model} ${limitName(limit)}`} limit={limit} />
      ))}
    </Layout>,
  )
}

async function limitsOf(settings: DashboardSettings): Promise<ShownLimit[]> {
  const limits = await Promise.all(
    pausableClasses(settings).map(async (Attempt) => {
      return (await Attempt.limits()).map((limit) => ({ model: Attempt.model, ...limit }))
    }),
  )
  return limits.flat()
}

/** The keys with calls, then those that have numbers of their own and no calls now. */
function keysOf({ keys, changed }: LimitStatus): (KeyStatus & { isChanged: boolean })[] {
  const own = new Set(changed.map(({ key }) => key))
  const idle = changed.filter(({ key }) => !keys.some((each) => each.key === key))
  return [...keys, ...idle.map((each) => ({ ...each, running: 0, waiting: 0, isFull: false, nextStartAt: null }))].map(
    (each) => ({ ...each, isChanged: own.has(each.key) }),
  )
}

function LimitRows({ limit }: { limit: ShownLimit }) {
  const keys = keysOf(limit)
  const head = (
    <>
      <th scope="col">Key</th>
      <th scope="col">Limit</th>
      <th scope="col">Running</th>
      <th scope="col">Waiting</th>
      <th scope="col">Next start</th>
    </>
  )
  return (
    <section>
      <h2>
        <Name text={limitName(limit)} />
      </h2>
      <p>{`${describeNumbers(limit)}: ${limit.running} running, ${limit.waiting} waiting.`}</p>
      {limit.isChanged && <p class="note">Changed by setLimit.</p>}
      {keys.length > 0 && (
        <Table label={`Keys of ${limitName(limit)}`} head={head}>
          {keys.map((key) => (
            <tr key={key.key}>
              <th scope="row">
                <bdi>{keyText(key.key)}</bdi>
                {key.isFull && <span class="status running">full</span>}
              </th>
              <td>
                {describeNumbers({ ...key, order: limit.order })}
                {key.isChanged && <span class="under">changed by setLimit</span>}
              </td>
              <td>{key.running}</td>
              <td>{key.waiting}</td>
              <td class="time">{key.nextStartAt ? <Time at={key.nextStartAt} /> : null}</td>
            </tr>
          ))}
        </Table>
      )}
    </section>
  )
}
