import { printable } from '../../core/printable.js'
import { Layout } from '../components/layout.js'
import { Empty, Live, Name, Status, Time } from '../components/parts.js'
import { Progress } from '../components/progress.js'
import { plural } from '../components/text.js'
import { pathTo } from '../links.js'
import type { DashboardSettings } from '../options.js'
import type { PageContext } from '../page.js'
import { type ListedWorker, type Run, readWorkers } from '../queries/workers.js'
import { htmlResponse } from '../respond.js'

/** The workers, and what each of them runs now. */
export async function workersPage(context: PageContext): Promise<Response> {
  const { settings, role, url } = context
  const all = await readWorkers(context)
  const alive = all.filter(({ isAlive }) => isAlive)
  const ended = all.filter(({ isAlive, isWorker }) => !isAlive && isWorker)
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="workers" title="Workers" url={url}>
      <h1>Workers</h1>
      <Live id="workers">
        {alive.length === 0 && (
          <Empty>
            No worker is alive. Start one: <code>npm run async:worker</code> while you develop,{' '}
            <code>npx async-gen-worker</code> in production.
          </Empty>
        )}
        <ul class="workers">
          {alive.map((worker) => (
            <Worker key={worker.id} settings={settings} worker={worker} />
          ))}
        </ul>
        {ended.length > 0 && (
          <section>
            <h2>Ended in the last hour</h2>
            <ul class="plain">
              {ended.map(({ id, host, pid, startedAt, endedAt, now }) => (
                <li key={id}>
                  {`Worker ${id} on ${printable(host, 100)}, process ${pid}, started `}
                  <Time at={startedAt} now={now.getTime()} />
                  {endedAt ? ', ended ' : ', has just ended'}
                  {endedAt && <Time at={endedAt} now={now.getTime()} />}
                </li>
              ))}
            </ul>
          </section>
        )}
      </Live>
    </Layout>,
  )
}

function Worker({ settings, worker }: { settings: DashboardSettings; worker: ListedWorker }) {
  const { id, host, pid, version, tasks, startedAt, now, runs, isWorker } = worker
  return (
    <li class="card">
      <h2>
        {`Worker ${id} `}
        <Status name={runs.length > 0 ? 'running' : 'idle'} />
      </h2>
      <p class="under">
        {`${printable(host, 100)}, process ${pid}, version ${printable(version, 40)}, since `}
        <Time at={startedAt} now={now.getTime()} />
      </p>
      {!isWorker && <p class="note">This process runs attempts without taking jobs, as a console does.</p>}
      {runs.length > 0 ? (
        <>
          <h3>{`Runs ${plural(runs.length, 'call')} now`}</h3>
          <ul class="plain runs">
            {runs.slice(0, 50).map((run) => (
              <RunLine key={`${run.Attempt}${run.id}`} settings={settings} run={run} now={now} />
            ))}
          </ul>
        </>
      ) : null}
      {tasks && tasks.length > 0 && <p class="tasks">{tasks.map((task) => printable(task, 60)).join(', ')}</p>}
    </li>
  )
}

function RunLine({ settings, run, now }: { settings: DashboardSettings; run: Run; now: Date }) {
  const href =
    run.Attempt === undefined ? pathTo(settings, 'toasts', run.id) : pathTo(settings, 'attempts', run.Attempt, run.id)
  return (
    <li>
      <a href={href}>
        <Name text={run.name} length={120} />
      </a>
      {run.startedAt && <Time at={run.startedAt} now={now.getTime()} />}
      {run.progress !== null && <Progress value={run.progress} label={`Progress of ${printable(run.name, 60)}`} />}
    </li>
  )
}
