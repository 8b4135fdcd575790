import { Layout } from '../components/layout.js'
import { Live, Status, Time } from '../components/parts.js'
import { ToastDetails } from '../components/toast-details.js'
import { Value } from '../components/value.js'
import { pathTo, withQuery } from '../links.js'
import { idOf, reportClass } from '../models.js'
import { type PageContext, PageError } from '../page.js'
import { readReport } from '../queries/reports.js'
import { readToast, stateOf } from '../queries/toasts.js'
import { htmlResponse } from '../respond.js'

/** One report: its arguments, its value, and the state of its build. */
export async function reportPage(context: PageContext): Promise<Response> {
  const { settings, role, url, path } = context
  const Report = reportClass(settings, path[1] ?? '')
  const report = await readReport(context, Report, idOf(path[2], 'report'))
  if (!report) throw new PageError(404, 'There is no such report.')
  const toast = report.toastId === null ? undefined : await readToast(context, BigInt(report.toastId))
  const id = `${Report.type}/${report.id}`
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="reports" title={`${Report.type} ${report.id}`} url={url}>
      <p class="crumbs">
        <a href={pathTo(settings, 'reports')}>Reports</a>
      </p>
      <Live id="report">
        <header class="title">
          <div>
            <h1>{Report.type}</h1>
            <p class="under">
              #{report.id} {toast ? <Status name={stateOf(toast)} /> : <Status name="not built" />} created{' '}
              <Time at={report.createdAt} />
            </p>
          </div>
          {!role.readOnly && (
            <p class="buttons">
              <a class="button primary" href={withQuery(pathTo(settings, 'reports', 'confirm'), { id })}>
                Build
              </a>
            </p>
          )}
        </header>
        <section class="card">
          <h2>Arguments</h2>
          <Value label="Arguments" text={report.argsText} bytes={report.argsBytes} />
        </section>
        {toast ? <ToastDetails toast={toast} /> : <p class="closed">Nobody has read this report yet.</p>}
      </Live>
    </Layout>,
  )
}
