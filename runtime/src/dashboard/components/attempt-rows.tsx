import { printable } from '../../core/printable.js'
import { pathTo } from '../links.js'
import type { DashboardSettings } from '../options.js'
import type { AttemptPage, ListedAttempt } from '../queries/attempts.js'
import { LatestError } from './latest-error.js'
import { Call, Choose, ChooseHead, Status, Table, Time } from './parts.js'
import { Progress } from './progress.js'
import { sizeText } from './text.js'

interface AttemptRowsProps {
  settings: DashboardSettings
  /** The name of the class. */
  name: string
  rows: readonly ListedAttempt[]
  order: AttemptPage['order']
  isPaused: (attempt: ListedAttempt) => boolean
  /** Whether each row can be chosen. */
  canChoose: boolean
}

const TIMES = { recorded: 'Recorded', due: 'Due', ended: 'Ended', started: 'Started' }

/** A list of attempts. */
export function AttemptRows({ settings, name, rows, order, isPaused, canChoose }: AttemptRowsProps) {
  const head = (
    <>
      {canChoose && <ChooseHead />}
      <th scope="col">Call</th>
      <th scope="col">Status</th>
      <th scope="col">{TIMES[order]}</th>
      <th scope="col" class="number wide">
        Runs
      </th>
      <th scope="col" class="wide">
        Arguments, latest error
      </th>
    </>
  )
  return (
    <Table label="Attempts" head={head}>
      {rows.map((row) => (
        <tr key={row.id}>
          {canChoose && <Choose id={row.id} label={`Choose attempt ${row.id}`} />}
          <th scope="row">
            <a href={pathTo(settings, 'attempts', name, row.id)}>
              <Call target={row.target} method={row.method} />
            </a>
            <span class="under">
              #{row.id}
              {row.type !== null && row.type !== name && ` · ${printable(row.type, 60)}`}
            </span>
            <span class="narrow">
              <ErrorOf attempt={row} />
            </span>
          </th>
          <td>
            <Status name={row.status} isPaused={isPaused(row)} />
            {row.status === 'running' && row.progress !== null && (
              <Progress value={row.progress} label={`Progress of attempt ${row.id}`} />
            )}
          </td>
          <td class="time">
            <Time at={timeOf(row, order)} />
          </td>
          <td class="number wide">{`${row.numAttempts} of ${row.maxAttempts}`}</td>
          <td class="wide text">
            <Arguments attempt={row} />
            <ErrorOf attempt={row} />
          </td>
        </tr>
      ))}
    </Table>
  )
}

function timeOf({ scheduledAt, completedAt, startedAt, createdAt }: ListedAttempt, order: AttemptPage['order']): Date {
  if (order === 'due') return scheduledAt
  return (order === 'ended' ? completedAt : order === 'started' ? startedAt : createdAt) ?? createdAt
}

function Arguments({ attempt: { isEncrypted, argsText, argsSize } }: { attempt: ListedAttempt }) {
  if (isEncrypted) return <span class="closed">Encrypted</span>
  if (argsText === null) return <span class="closed">{`${sizeText(argsSize)} stored`}</span>
  return <code>{printable(argsText, 140)}</code>
}

function ErrorOf({ attempt: { error, isEncrypted } }: { attempt: ListedAttempt }) {
  if (!error || (isEncrypted && error.message === null)) return null
  return <LatestError {...error} />
}
