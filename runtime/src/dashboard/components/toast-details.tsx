import type { ComponentChildren } from 'preact'
import { printable } from '../../core/printable.js'
import type { ShownToast } from '../queries/toasts.js'
import { RunError } from './errors.js'
import { Time } from './parts.js'
import { ProgressLine } from './progress.js'
import { durationText, plural } from './text.js'
import { Value } from './value.js'

/** The value of a toast, and the state of its refresh. */
export function ToastDetails({ toast }: { toast: ShownToast }) {
  return (
    <>
      {toast.progress !== null && (
        <ProgressLine value={toast.progress} message={toast.progressMessage} label="Progress" />
      )}
      <div class="columns">
        <div>
          <section class="card">
            <h2>Value</h2>
            {toast.cachedAt === null ? (
              <p class="closed">There is none yet.</p>
            ) : (
              <Value label="Value" text={toast.valueText} bytes={toast.valueBytes} />
            )}
          </section>
          {toast.argsText !== null && (
            <section class="card">
              <h2>Arguments</h2>
              <Value label="Arguments" text={toast.argsText} bytes={toast.argsBytes} />
            </section>
          )}
          {toast.error && (
            <section class="card">
              <h2>{`${plural(toast.failures, 'failure')}${toast.cachedAt === null ? '' : ' since the last value'}`}</h2>
              <RunError error={{ ...toast.error, number: toast.failures }} number={toast.failures} noun="Try" />
            </section>
          )}
        </div>
        <aside aria-label="Facts">
          <Facts toast={toast} />
        </aside>
      </div>
    </>
  )
}

function Facts({ toast }: { toast: ShownToast }) {
  const now = toast.now.getTime()
  const facts: [label: string, value: ComponentChildren][] = [
    ['Computed', toast.cachedAt && <Time at={toast.cachedAt} now={now} />],
    ['Took', toast.elapsed !== null && durationText(toast.elapsed * 1000)],
    [
      toast.failures > 0 ? 'Next try' : 'Refresh',
      toast.lockedBy === null && toast.refreshAt && <Time at={toast.refreshAt} now={now} />,
    ],
    ['Computed by', toast.lockedBy !== null && `worker ${toast.lockedBy}`],
    ['Removed', toast.expiresAt && <Time at={toast.expiresAt} now={now} />],
    ['Made stale', toast.isInvalidated && toast.cachedAt !== null && 'since it was computed'],
    ['Version', toast.version !== null && printable(toast.version, 200)],
    ['Task', printable(toast.task, 128)],
  ]
  return (
    <section class="card">
      <h2>Facts</h2>
      <dl>
        {facts.map(([label, value]) =>
          value ? (
            <div key={label}>
              <dt>{label}</dt>
              <dd>{value}</dd>
            </div>
          ) : null,
        )}
      </dl>
    </section>
  )
}
