import { headOf } from '../../core/error-text.js'
import { printable } from '../../core/printable.js'
import { pathTo, withQuery } from '../links.js'
import type { DashboardSettings } from '../options.js'
import type { FailureGroup } from '../queries/overview.js'
import { MAX_GROUPED } from '../sql/overview.js'
import { Call, Empty, Table, Time } from './parts.js'
import { countText } from './text.js'

interface FailureGroupsProps {
  settings: DashboardSettings
  /** The name of the class. */
  name: string
  groups: readonly FailureGroup[]
}

/** What fails, grouped by call and error. */
export function FailureGroups({ settings, name, groups }: FailureGroupsProps) {
  const total = groups[0]?.total ?? 0
  const head = (
    <>
      <th scope="col">Call</th>
      <th scope="col">Error</th>
      <th scope="col" class="number">
        Count
      </th>
      <th scope="col" class="wide">
        Latest
      </th>
    </>
  )
  return (
    <section>
      <h2>Failures</h2>
      {groups.length === 0 ? (
        <Empty>No attempt has failed.</Empty>
      ) : (
        <>
          <Table label="Failures by call and error" head={head}>
            {groups.map((group) => (
              <tr key={group.id}>
                <th scope="row">
                  <a href={listOf(settings, name, group)}>
                    <Call target={group.target} method={group.method} />
                  </a>
                </th>
                <td class="text">
                  {group.name === null && group.message === null ? (
                    <span class="closed">none, or encrypted</span>
                  ) : (
                    <>
                      <strong>{printable(titleOf(group), 200)}</strong> {printable(group.message ?? '', 160)}
                    </>
                  )}
                </td>
                <td class="number">{countText(group.count)}</td>
                <td class="wide time">
                  <a href={pathTo(settings, 'attempts', name, group.id)}>
                    <Time at={group.latest} />
                  </a>
                </td>
              </tr>
            ))}
          </Table>
          {total >= MAX_GROUPED && <p class="note">{`Of the ${countText(MAX_GROUPED)} attempts that failed last.`}</p>}
        </>
      )}
    </section>
  )
}

function titleOf({ name, code, message }: FailureGroup): string {
  return headOf({ name: name ?? 'Error', message: message ?? '', ...(code !== null && { code }) })
}

function listOf(settings: DashboardSettings, name: string, group: FailureGroup): string {
  const call = `${group.target}.${group.method}`
  return withQuery(pathTo(settings, 'attempts', name), { status: 'failed', call, error: group.name ?? '' })
}
