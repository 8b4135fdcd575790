import { pathTo } from '../links.js'
import type { DashboardSettings } from '../options.js'
import type { RelatedAttempt } from '../queries/batches.js'
import { Call, Status } from './parts.js'

interface RelatedAttemptsProps {
  settings: DashboardSettings
  /** The name of the class. */
  name: string
  title: string
  attempts: readonly RelatedAttempt[]
  /** How many there are. */
  total: number
}

/** A short list of attempts that belong to what the page is about. */
export function RelatedAttempts({ settings, name, title, attempts, total }: RelatedAttemptsProps) {
  if (attempts.length === 0) return null
  return (
    <section class="card">
      <h2>{title}</h2>
      <ul class="plain">
        {attempts.map(({ id, target, method, status }) => (
          <li key={id}>
            {target === null || method === null || status === null ? (
              <span class="closed">{`attempt ${id}, which was deleted`}</span>
            ) : (
              <>
                <a href={pathTo(settings, 'attempts', name, id)}>
                  <Call target={target} method={method} />
                </a>{' '}
                <Status name={status} />
              </>
            )}
          </li>
        ))}
      </ul>
      {attempts.length < total && (
        <p class="note">{`${attempts.length} of ${total > 1000 ? 'more than 1,000' : total}.`}</p>
      )}
    </section>
  )
}
