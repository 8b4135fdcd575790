import { type ReportClass, toastOf } from '../../report/report.js'
import { reported } from '../actions/audit.js'
import { chosenTexts } from '../chosen.js'
import { ConfirmForm } from '../components/confirm-form.js'
import { Hidden } from '../components/hidden.js'
import { Layout } from '../components/layout.js'
import { withNotice } from '../components/notice.js'
import { plural } from '../components/text.js'
import { csrfToken } from '../csrf.js'
import { pathTo, withQuery } from '../links.js'
import { idOf, reportClass } from '../models.js'
import type { PageContext } from '../page.js'
import { reportIds, reportTables } from '../queries/reports.js'
import { htmlResponse, seeOther } from '../respond.js'

interface ChosenReport {
  Report: ReportClass
  id: bigint
}

/** Asks before reports are built, and says how many they are. */
export async function confirmBuildPage(context: PageContext): Promise<Response> {
  const { settings, role, request, url } = context
  const chosen = chosenReports(context, url.searchParams)
  const type = url.searchParams.get('type') ?? ''
  const { token, headers } = csrfToken(settings, request)
  const count = chosen.length > 0 ? chosen.length : await countOf(context, type)
  const [only] = chosen
  const title = `Build ${chosen.length === 1 ? `${only!.Report.type} ${only!.id}` : plural(count, 'report')}?`
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="reports" title={title}>
      <ConfirmForm
        title={title}
        meaning="The values become stale, and workers build them again. Readers get the values that are there until then."
        action={pathTo(settings, 'reports', 'act')}
        fields={{ csrf: token, all: chosen.length === 0 ? '1' : '', type }}
        label="Build"
        isDisabled={count === 0}
        back={backTo(context, type)}
      >
        {chosen.map(({ Report, id }) => (
          <Hidden key={`${Report.type}/${id}`} fields={{ id: `${Report.type}/${id}` }} />
        ))}
      </ConfirmForm>
    </Layout>,
    { headers },
  )
}

/** Requests the builds that the user has confirmed. */
export async function actOnReports(context: PageContext, form: URLSearchParams): Promise<Response> {
  const { settings, cache } = context
  const chosen = chosenReports(context, form)
  const type = form.get('type') ?? ''
  const isAll = chosen.length === 0
  const names = chosen.map(({ Report, id }) => `${Report.type} ${id}`)
  const { changed, isRecorded } = await reported(
    context,
    {
      action: 'build',
      subject: isAll ? `all reports${type === '' ? '' : ` of ${type}`}` : names.join(', '),
      ...(isAll ? { filter: { type } } : { ids: chosen.map(({ id }) => String(id)) }),
    },
    async (add) => {
      for await (const report of isAll ? allReports(context, type) : chosen) add(await build(report))
    },
  )
  cache.clear()
  const unchanged = isAll ? 0 : chosen.length - changed
  return seeOther(settings, withNotice(backTo(context, type), { action: 'build', changed, unchanged, isRecorded }))
}

/** Returns how many reports it has found: one, or none if it was deleted. */
async function build({ Report, id }: ChosenReport): Promise<number> {
  const row = await Report.store.find(id)
  if (row?.type !== Report.type) return 0
  await toastOf(Report).expire(new Report(row))
  return 1
}

/** Those that were chosen one by one, as `MonthlySales/7`; none if all are meant. */
function chosenReports({ settings }: PageContext, parameters: URLSearchParams): ChosenReport[] {
  return chosenTexts(parameters, 'report').map((text) => {
    const slash = text.lastIndexOf('/')
    return { Report: reportClass(settings, text.slice(0, slash)), id: idOf(text.slice(slash + 1), 'report') }
  })
}

async function* allReports(context: PageContext, type: string): AsyncGenerator<ChosenReport> {
  const classes = type === '' ? context.settings.reports : [reportClass(context.settings, type)]
  for (const table of reportTables(classes)) {
    for await (const { id, type: name } of reportIds(context, table, classes))
      yield { Report: reportClass(context.settings, name), id: BigInt(id) }
  }
}

async function countOf(context: PageContext, type: string): Promise<number> {
  let count = 0
  for await (const _ of allReports(context, type)) count++
  return count
}

function backTo({ settings }: PageContext, type: string): string {
  return withQuery(pathTo(settings, 'reports'), { type })
}
