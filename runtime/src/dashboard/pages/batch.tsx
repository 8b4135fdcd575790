import type { AttemptClass } from '../../attempt/attempt.js'
import { ATTEMPT_STATUSES, type AttemptStatus } from '../../attempt/row.js'
import { reported } from '../actions/audit.js'
import { ConfirmForm } from '../components/confirm-form.js'
import { BatchesCrumb, Layout } from '../components/layout.js'
import { withNotice } from '../components/notice.js'
import { Live, Status, Time } from '../components/parts.js'
import { ProgressLine } from '../components/progress.js'
import { RelatedAttempts } from '../components/related-attempts.js'
import { plural } from '../components/text.js'
import { csrfToken } from '../csrf.js'
import { pathTo, withQuery } from '../links.js'
import { classOf, idOf } from '../models.js'
import type { DashboardSettings } from '../options.js'
import { type PageContext, PageError } from '../page.js'
import { batchState, readBatch, type ShownBatch } from '../queries/batches.js'
import { htmlResponse, seeOther } from '../respond.js'

/** One batch: how far it is, its calls, and the call that follows. */
export async function batchPage(context: PageContext): Promise<Response> {
  const { settings, role, url } = context
  const { Attempt, shown } = await batchOf(context)
  const { batch, counts, calls, following } = shown
  const title = `Batch ${batch.id} of ${Attempt.name}`
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="batches" title={title} url={url}>
      <BatchesCrumb settings={settings} name={Attempt.name} />
      <Live id="batch">
        <header class="title">
          <div>
            <h1>{title}</h1>
            <p class="under">
              <Status name={batchState(batch)} />
            </p>
          </div>
          {!role.readOnly && !batch.isFinished && (
            <p class="buttons">
              <a class="button danger" href={pathTo(settings, 'batches', Attempt.name, `${batch.id}`, 'confirm')}>
                Cancel
              </a>
            </p>
          )}
        </header>
        <ProgressLine
          value={counts.progress}
          message={`${counts.ended} of ${plural(counts.total, 'call')} have ended.`}
          label="Progress"
        />
        <div class="columns">
          <div>
            <RelatedAttempts
              settings={settings}
              name={Attempt.name}
              title="Calls"
              attempts={calls}
              total={counts.total}
            />
            <p>
              <a href={callsOf(settings, Attempt, batch.id)}>Filter them, or change many at once</a>
            </p>
          </div>
          <aside aria-label="Facts">
            <Facts settings={settings} Attempt={Attempt} shown={shown} />
            {following && (
              <RelatedAttempts settings={settings} name={Attempt.name} title="Then" attempts={[following]} total={1} />
            )}
          </aside>
        </div>
      </Live>
    </Layout>,
  )
}

/** The list of the calls of a batch. */
function callsOf(settings: DashboardSettings, Attempt: AttemptClass, id: bigint, status?: AttemptStatus): string {
  return withQuery(pathTo(settings, 'attempts', Attempt.name), { status, batch: String(id) })
}

interface FactsProps {
  settings: DashboardSettings
  Attempt: AttemptClass
  shown: ShownBatch
}

function Facts({ settings, Attempt, shown: { batch, counts } }: FactsProps) {
  const times = [
    ['Recorded', batch.createdAt],
    ['Cancelled', batch.cancelledAt],
    ['Finished', batch.finishedAt],
  ] as const
  return (
    <section class="card">
      <h2>Facts</h2>
      <dl>
        {ATTEMPT_STATUSES.filter((status) => counts[status] > 0).map((status) => (
          <div key={status}>
            <dt>
              <Status name={status} />
            </dt>
            <dd>
              <a href={callsOf(settings, Attempt, batch.id, status)}>{counts[status].toLocaleString('en')}</a>
            </dd>
          </div>
        ))}
        {times.map(([label, at]) =>
          at === null ? null : (
            <div key={label}>
              <dt>{label}</dt>
              <dd>
                <Time at={at} />
              </dd>
            </div>
          ),
        )}
      </dl>
    </section>
  )
}

/** Asks before a batch is cancelled. */
export async function confirmBatchPage(context: PageContext): Promise<Response> {
  const { settings, role, request } = context
  const { Attempt, shown } = await batchOf(context)
  const { batch, counts } = shown
  const { token, headers } = csrfToken(settings, request)
  const title = `Cancel batch ${batch.id} of ${Attempt.name}?`
  const open = counts.total - counts.ended
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="batches" title={title}>
      <ConfirmForm
        title={title}
        meaning={`${plural(open, 'call')} that ${open === 1 ? 'has' : 'have'} not ended will be cancelled, and so will the call that follows. The signals of running calls abort.`}
        action={pathTo(settings, 'batches', Attempt.name, `${batch.id}`, 'act')}
        fields={{ csrf: token }}
        label="Cancel the batch"
        isDangerous
        isDisabled={batch.isFinished}
        back={pathTo(settings, 'batches', Attempt.name, `${batch.id}`)}
      />
    </Layout>,
    { headers },
  )
}

/** Cancels the batch that the user has confirmed. */
export async function actOnBatch(context: PageContext): Promise<Response> {
  const { settings, cache } = context
  const { Attempt, shown } = await batchOf(context)
  const { batch } = shown
  const { changed, isRecorded } = await reported(
    context,
    { action: 'cancel', subject: `batch ${batch.id} of ${Attempt.name}`, model: Attempt.model },
    async (add) => add(await batch.cancel()),
  )
  cache.clear()
  const page = pathTo(settings, 'batches', Attempt.name, `${batch.id}`)
  return seeOther(settings, withNotice(page, { action: 'cancel', changed, isRecorded }))
}

async function batchOf({ settings, path }: PageContext): Promise<{ Attempt: AttemptClass; shown: ShownBatch }> {
  const Attempt = classOf(settings, path[1])
  const id = idOf(path[2], 'batch')
  const shown = await readBatch(Attempt, id)
  if (shown) return { Attempt, shown }
  throw new PageError(404, `There is no batch ${id} of ${Attempt.name}. Retention may have deleted it.`)
}
