import { unmatchedReason } from '../../attempt/pause-match.js'
import { ALL, describePause, type PauseRow, pausedName } from '../../attempt/pause-store.js'
import { printable } from '../../core/printable.js'
import { reported } from '../actions/audit.js'
import { changePause, type PauseChoice, pausableClasses, pauseChoice } from '../actions/pauses.js'
import { ConfirmForm } from '../components/confirm-form.js'
import { Layout } from '../components/layout.js'
import { withNotice } from '../components/notice.js'
import { Empty, Table, Time } from '../components/parts.js'
import { PauseForm } from '../components/pause-form.js'
import { plural } from '../components/text.js'
import { csrfToken } from '../csrf.js'
import { pathTo, withQuery } from '../links.js'
import { offeredCalls } from '../models.js'
import type { DashboardSettings } from '../options.js'
import type { PageContext } from '../page.js'
import { currentPauses } from '../queries/pauses.js'
import { htmlResponse, seeOther } from '../respond.js'

/** The pauses in force, and a form for another. */
export async function pausesPage(context: PageContext): Promise<Response> {
  const { db, settings, role, url } = context
  const classes = pausableClasses(settings)
  const rows = await currentPauses(context)
  const pauses = await Promise.all(
    rows.map(async (pause) => {
      const targets = await classes.find(({ model }) => model === pause.model)?.targets()
      return { pause, problem: unmatchedReason(db, pause, targets) }
    }),
  )
  const calls = await offeredCalls(classes)
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="pauses" title="Pauses" url={url}>
      <h1>Pauses</h1>
      {pauses.length === 0 ? (
        <Empty>Nothing is paused.</Empty>
      ) : (
        <PauseRows settings={settings} pauses={pauses} canAct={!role.readOnly} />
      )}
      {!role.readOnly && classes.length > 0 && <PauseForm settings={settings} classes={classes} calls={calls} />}
    </Layout>,
  )
}

interface PauseRowsProps {
  settings: DashboardSettings
  pauses: { pause: PauseRow; problem: string | undefined }[]
  canAct: boolean
}

function PauseRows({ settings, pauses, canAct }: PauseRowsProps) {
  const head = (
    <>
      <th scope="col">Paused</th>
      <th scope="col">Since</th>
      <th scope="col">Until</th>
      {canAct && (
        <th scope="col">
          <span class="hidden">Actions</span>
        </th>
      )}
    </>
  )
  const models = pausableClasses(settings).map(({ model }) => model)
  return (
    <Table label="Pauses" head={head}>
      {pauses.map(({ pause, problem }) => (
        <tr key={`${pause.model}.${pause.target}.${pause.method}`}>
          <th scope="row">
            <bdi>{pausedName(pause)}</bdi>
            {pause.reason !== null && <span class="under">{printable(pause.reason, 300)}</span>}
            {problem !== undefined && <span class="latest-error">{`It matches nothing: ${problem}`}</span>}
          </th>
          <td class="time">
            <Time at={pause.since} />
          </td>
          <td class="time">{pause.until ? <Time at={pause.until} /> : 'it is resumed'}</td>
          {canAct && (
            <td>
              {models.includes(pause.model) && (
                <a
                  class="button"
                  href={withQuery(pathTo(settings, 'pauses', 'confirm'), {
                    action: 'resume',
                    model: pause.model,
                    target: pause.target,
                    method: pause.method,
                  })}
                  aria-label={`Resume ${pausedName(pause)}`}
                >
                  Resume
                </a>
              )}
            </td>
          )}
        </tr>
      ))}
    </Table>
  )
}

/** Asks before calls are paused or resumed. */
export async function confirmPausePage(context: PageContext): Promise<Response> {
  const { settings, role, request, url } = context
  const choice = await pauseChoice(settings, url.searchParams)
  const { action, Attempt, call, until, reason } = choice
  const { token, headers } = csrfToken(settings, request)
  const title = action === 'pause' ? `Pause ${nameOf(choice)}?` : `Resume ${nameOf(choice)}?`
  const replaced = action === 'pause' ? (await currentPauses(context)).find((pause) => isOf(pause, choice)) : undefined
  const waiting = action === 'pause' ? await Attempt.count({ status: 'pending', ...call }) : undefined
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="pauses" title={title}>
      <ConfirmForm
        title={title}
        meaning={
          waiting === undefined
            ? 'The calls that waited are enqueued, in their order.'
            : `${plural(waiting, 'pending attempt')} will wait ${until === '' ? 'until the pause is resumed' : `for ${printable(until, 40)}, or until the pause is resumed`}.`
        }
        action={pathTo(settings, 'pauses', 'act')}
        fields={{ csrf: token, action, model: Attempt.model, until, reason }}
        label={action === 'pause' ? 'Pause' : 'Resume'}
        isDangerous={action === 'pause'}
        back={pathTo(settings, 'pauses')}
      >
        <input type="hidden" name="target" value={call.target ?? ALL} />
        <input type="hidden" name="method" value={call.method ?? ALL} />
        {reason !== '' && <p>{`Reason: ${printable(reason, 300)}`}</p>}
        {replaced && <p class="notice problem">{`${describePause(replaced)}. The new pause replaces this one.`}</p>}
      </ConfirmForm>
    </Layout>,
    { headers },
  )
}

/** Pauses or resumes what the user has confirmed. */
export async function actOnPause(context: PageContext, form: URLSearchParams): Promise<Response> {
  const { settings, cache } = context
  const choice = await pauseChoice(settings, form)
  const { action, Attempt, call } = choice
  const paused =
    call.target === undefined ? undefined : [call.target, call.method].filter((name) => name !== undefined).join('.')
  const { changed, isRecorded } = await reported(
    context,
    { action, subject: nameOf(choice), model: Attempt.model, paused },
    async (add) => add(await changePause(choice)),
  )
  cache.clear()
  return seeOther(settings, withNotice(pathTo(settings, 'pauses'), { action, changed, isRecorded }))
}

function isOf(pause: PauseRow, { Attempt: { model }, call: { target = ALL, method = ALL } }: PauseChoice): boolean {
  return pause.model === model && pause.target === target && pause.method === method
}

function nameOf({ Attempt: { model }, call: { target = ALL, method = ALL } }: PauseChoice): string {
  return pausedName({ model, target, method })
}
