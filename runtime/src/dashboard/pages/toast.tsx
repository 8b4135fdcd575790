import type { ComponentChildren } from 'preact'
import { printable } from '../../core/printable.js'
import { RunError } from '../components/errors.js'
import { Layout } from '../components/layout.js'
import { Live, Name, Status, Time } from '../components/parts.js'
import { ProgressLine } from '../components/progress.js'
import { durationText, plural } from '../components/text.js'
import { Value } from '../components/value.js'
import { pathTo, withQuery } from '../links.js'
import { idOf } from '../models.js'
import { type PageContext, PageError } from '../page.js'
import { readToast, type ShownToast, stateOf } from '../queries/toasts.js'
import { htmlResponse } from '../respond.js'

/** One toast: its value, and the state of its refresh. */
export async function toastPage(context: PageContext): Promise<Response> {
  const { settings, role, url } = context
  const toast = await toastOf(context)
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="toasts" title={`${toast.name} of ${toast.key}`} url={url}>
      <p class="crumbs">
        <a href={pathTo(settings, 'toasts')}>Toasts</a>
      </p>
      <Live id="toast">
        <header class="title">
          <div>
            <h1>
              <Name text={toast.name} />
            </h1>
            <p class="under">
              of <Name text={toast.key} /> <Status name={stateOf(toast)} />
            </p>
          </div>
          {!role.readOnly && (
            <p class="buttons">
              <a class="button primary" href={withQuery(pathTo(settings, 'toasts', 'confirm'), { id: toast.id })}>
                Refresh
              </a>
            </p>
          )}
        </header>
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
                <h2>{`${plural(toast.failures, 'failure')} since the last value`}</h2>
                <RunError error={{ ...toast.error, number: toast.failures }} number={toast.failures} noun="Try" />
              </section>
            )}
          </div>
          <aside aria-label="Facts">
            <Facts toast={toast} />
          </aside>
        </div>
      </Live>
    </Layout>,
  )
}

function Facts({ toast }: { toast: ShownToast }) {
  const now = toast.now.getTime()
  const facts: [label: string, value: ComponentChildren][] = [
    ['Computed', toast.cachedAt && <Time at={toast.cachedAt} now={now} />],
    ['Took', toast.elapsed !== null && durationText(toast.elapsed * 1000)],
    ['Refresh', toast.lockedBy === null && toast.refreshAt && <Time at={toast.refreshAt} now={now} />],
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

async function toastOf(context: PageContext): Promise<ShownToast> {
  const toast = await readToast(context, idOf(context.path[1], 'toast'))
  if (toast) return toast
  throw new PageError(404, 'There is no such toast. It may have been removed with its record.')
}
