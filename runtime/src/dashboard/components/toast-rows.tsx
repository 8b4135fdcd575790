import { printable } from '../../core/printable.js'
import { pathTo } from '../links.js'
import type { DashboardSettings } from '../options.js'
import { type ListedToast, stateOf } from '../queries/toasts.js'
import { LatestError } from './latest-error.js'
import { Choose, ChooseHead, Name, Status, Table, Time } from './parts.js'
import { Progress } from './progress.js'
import { durationText, sizeText } from './text.js'

interface ToastRowsProps {
  settings: DashboardSettings
  rows: readonly ListedToast[]
  /** Whether each row can be chosen. */
  canChoose: boolean
}

/** A list of toasts. */
export function ToastRows({ settings, rows, canChoose }: ToastRowsProps) {
  const head = (
    <>
      {canChoose && <ChooseHead />}
      <th scope="col">Toast</th>
      <th scope="col">State</th>
      <th scope="col">Computed</th>
      <th scope="col" class="number wide">
        Took
      </th>
      <th scope="col" class="number wide">
        Size
      </th>
      <th scope="col" class="wide">
        Latest error
      </th>
    </>
  )
  return (
    <Table label="Toasts" head={head}>
      {rows.map((toast) => (
        <tr key={toast.id}>
          {canChoose && <Choose id={toast.id} label={`Choose toast ${toast.id}`} />}
          <th scope="row">
            <a href={pathTo(settings, 'toasts', toast.id)}>
              <Name text={toast.name} length={100} />
            </a>
            <span class="under">
              of <Name text={toast.key} length={80} />
              {toast.argsText !== null && <code> {printable(toast.argsText, 80)}</code>}
            </span>
            <span class="narrow">
              {toast.failures > 0 && <LatestError name={toast.errorName} message={toast.errorMessage} />}
            </span>
          </th>
          <td>
            <Status name={stateOf(toast)} />
            {toast.lockedBy !== null && toast.progress !== null && (
              <Progress value={toast.progress} label={`Progress of ${printable(toast.name, 60)}`} />
            )}
          </td>
          <td class="time">
            {toast.cachedAt ? (
              <Time at={toast.cachedAt} now={toast.now.getTime()} />
            ) : (
              <span class="closed">not yet</span>
            )}
          </td>
          <td class="number wide">{toast.elapsed === null ? '' : durationText(toast.elapsed * 1000)}</td>
          <td class="number wide">{toast.valueSize === null ? '' : sizeText(toast.valueSize)}</td>
          <td class="wide text">
            {toast.failures > 0 && <LatestError name={toast.errorName} message={toast.errorMessage} />}
          </td>
        </tr>
      ))}
    </Table>
  )
}
