import { printable } from '../../core/printable.js'
import { Chooser } from '../components/chooser.js'
import { LatestError } from '../components/latest-error.js'
import { Layout } from '../components/layout.js'
import { cursorOf, Pages } from '../components/pages.js'
import { Choose, ChooseHead, Empty, Live, Status, Table, Time } from '../components/parts.js'
import { Progress } from '../components/progress.js'
import { durationText } from '../components/text.js'
import { pathTo, withQuery } from '../links.js'
import { reportClass } from '../models.js'
import { type PageContext, PageError } from '../page.js'
import { type ListedReport, reportPage, reportState, reportTables } from '../queries/reports.js'
import { htmlResponse } from '../respond.js'

/** The list of reports, of all classes or of one. */
export async function reportsPage(context: PageContext): Promise<Response> {
  const { settings, role, url } = context
  const type = url.searchParams.get('type') ?? ''
  const classes = type === '' ? settings.reports : [reportClass(settings, type)]
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
      <Chooser
        noun="reports"
        action={role.readOnly || page.rows.length === 0 ? undefined : pathTo(settings, 'reports', 'confirm')}
        actions={[{ name: 'build', label: 'Build' }]}
        parameters={{ type }}
      >
        <Live id="list" isOn={!cursor && page.searched === undefined}>
          {page.rows.length > 0 ? (
            <ReportRows context={context} rows={page.rows} />
          ) : (
            <Empty>No report was created yet.</Empty>
          )}
        </Live>
      </Chooser>
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
      {!role.readOnly && <ChooseHead />}
      <th scope="col">Report</th>
      <th scope="col">State</th>
      <th scope="col">Built</th>
      <th scope="col" class="number wide">
        Took
      </th>
      <th scope="col" class="wide">
        Latest error
      </th>
    </>
  )
  return (
    <Table label="Reports" head={head}>
      {rows.map((report) => (
        <tr key={report.id}>
          {!role.readOnly && <Choose id={`${report.type}/${report.id}`} label={`Choose report ${report.id}`} />}
          <th scope="row">
            <a href={pathTo(settings, 'reports', report.type, report.id)}>{printable(report.type, 100)}</a>
            <span class="under">
              #{report.id} {report.argsText !== null && <code>{printable(report.argsText, 120)}</code>}
            </span>
            <span class="narrow">
              {report.failures > 0 && <LatestError name={report.errorName} message={report.errorMessage} />}
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
            {report.failures > 0 && <LatestError name={report.errorName} message={report.errorMessage} />}
          </td>
        </tr>
      ))}
    </Table>
  )
}
