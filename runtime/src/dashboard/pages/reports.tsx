import { printable } from '../../core/printable.js'
import { type ReportClass, toastOf } from '../../report/report.js'
import { reported } from '../actions/audit.js'
import { ConfirmForm } from '../components/confirm-form.js'
import { Layout } from '../components/layout.js'
import { withNotice } from '../components/notice.js'
import { cursorOf, Pages } from '../components/pages.js'
import { Empty, Status, Table, Time } from '../components/parts.js'
import { Progress } from '../components/progress.js'
import { durationText } from '../components/text.js'
import { csrfToken } from '../csrf.js'
import { pathTo, withQuery } from '../links.js'
import { idOf } from '../models.js'
import { type PageContext, PageError } from '../page.js'
import { type ListedReport, reportPage, reportState, reportTables } from '../queries/reports.js'
import { htmlResponse, seeOther } from '../respond.js'

/** The list of reports, of all classes or of one. */
export async function reportsPage(context: PageContext): Promise<Response> {
  const { settings, role, url } = context
  const type = url.searchParams.get('type') ?? ''
  const classes = type === '' ? settings.reports : [reportClass(context, type)]
  const tables = reportTables(classes)
  const table = tables.find((name) => name === url.searchParams.get('table')) ?? tables[0]
  if (table === undefined) throw new PageError(404, 'The dashboard shows no reports: it has no option `reports`.')
  const cursor = cursorOf(url.searchParams)
  const ofTable = classes.filter(({ store }) => store.table === table)
  const page = await reportPage(context, table, ofTable, cursor)
  const list = pathTo(settings, 'reports')
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="reports" title="Reports" url={url}>
      <h1>Reports</h1>
      <nav class="tabs" aria-label="Class">
        <a href={list} {...(type === '' && { 'aria-current': 'true' as const })}>
          all
        </a>
        {settings.reports.map((Report) => (
          <a
            key={Report.type}
            href={withQuery(list, { type: Report.type })}
            {...(type === Report.type && { 'aria-current': 'true' as const })}
          >
            {printable(Report.type, 100)}
          </a>
        ))}
      </nav>
      {page.rows.length > 0 ? (
        <ReportRows context={context} rows={page.rows} />
      ) : (
        <Empty>No report was created yet.</Empty>
      )}
      <Pages
        label="reports"
        list={list}
        parameters={{ type, table: tables.length > 1 ? table : '' }}
        next={page.next}
        searched={page.searched}
        isFirst={!cursor}
      />
    </Layout>,
  )
}

function ReportRows({ context: { settings, role }, rows }: { context: PageContext; rows: readonly ListedReport[] }) {
  const head = (
    <>
      <th scope="col">Report</th>
      <th scope="col">State</th>
      <th scope="col">Built</th>
      <th scope="col" class="number wide">
        Took
      </th>
      <th scope="col" class="wide">
        Latest error
      </th>
      {!role.readOnly && (
        <th scope="col">
          <span class="hidden">Actions</span>
        </th>
      )}
    </>
  )
  return (
    <Table label="Reports" head={head}>
      {rows.map((report) => (
        <tr key={report.id}>
          <th scope="row">
            {report.toastId === null ? (
              printable(report.type, 100)
            ) : (
              <a href={pathTo(settings, 'toasts', report.toastId)}>{printable(report.type, 100)}</a>
            )}
            <span class="under">
              #{report.id} {report.argsText !== null && <code>{printable(report.argsText, 120)}</code>}
            </span>
          </th>
          <td>
            <Status name={reportState(report)} />
            {report.lockedBy !== null && report.progress !== null && (
              <Progress value={report.progress} label={`Progress of report ${report.id}`} />
            )}
          </td>
          <td class="time">{report.cachedAt ? <Time at={report.cachedAt} /> : <span class="closed">not yet</span>}</td>
          <td class="number wide">{report.elapsed === null ? '' : durationText(report.elapsed * 1000)}</td>
          <td class="wide text">
            {report.failures > 0 && (
              <span class="latest-error">
                {printable(`${report.errorName ?? 'Error'}: ${report.errorMessage ?? ''}`, 160)}
              </span>
            )}
          </td>
          {!role.readOnly && (
            <td>
              <a
                class="button"
                href={pathTo(settings, 'reports', report.type, report.id, 'build')}
                aria-label={`Build report ${report.id}`}
              >
                Build
              </a>
            </td>
          )}
        </tr>
      ))}
    </Table>
  )
}

/** Asks before a build is requested. */
export async function confirmBuildPage(context: PageContext): Promise<Response> {
  const { settings, role, request, path } = context
  const Report = reportClass(context, path[1])
  const id = idOf(path[2])
  const { token, headers } = csrfToken(settings, request)
  const title = `Build ${Report.type} ${id}?`
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="reports" title={title}>
      <ConfirmForm
        title={title}
        meaning="The report becomes stale, and a worker builds it again. Readers get the value that is there until then."
        action={pathTo(settings, 'reports', Report.type, String(id), 'build')}
        fields={{ csrf: token }}
        label="Build"
        back={pathTo(settings, 'reports')}
      />
    </Layout>,
    { headers },
  )
}

/** Requests a build. */
export async function buildReport(context: PageContext): Promise<Response> {
  const { settings, cache, path } = context
  const Report = reportClass(context, path[1])
  const id = idOf(path[2])
  const { changed, isRecorded } = await reported(
    context,
    { action: 'build', subject: `${Report.type} ${id}`, ids: [String(id)] },
    async () => {
      const row = await Report.store.find(id)
      if (row?.type !== Report.type) throw new PageError(404, 'There is no such report.')
      await toastOf(Report).expire(new Report(row))
      return 1
    },
  )
  cache.clear()
  return seeOther(settings, withNotice(pathTo(settings, 'reports'), { action: 'build', changed, isRecorded }))
}

function reportClass({ settings }: PageContext, type: string | undefined): ReportClass {
  const found = settings.reports.find((Report) => Report.type === type)
  if (found) return found
  throw new PageError(404, 'The dashboard shows no such class of reports.')
}
