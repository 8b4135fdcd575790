import type { AttemptClass } from '../../attempt/attempt.js'
import { ALL, describePause, type PauseRow } from '../../attempt/pause-store.js'
import { printable } from '../../core/printable.js'
import { ATTEMPT_ACTIONS, actionsFor } from '../actions/attempts.js'
import { AttemptFacts } from '../components/attempt-facts.js'
import { RunError } from '../components/errors.js'
import { AttemptsCrumb, Layout } from '../components/layout.js'
import { Call, Live, Status } from '../components/parts.js'
import { ProgressLine } from '../components/progress.js'
import { RelatedAttempts } from '../components/related-attempts.js'
import { plural } from '../components/text.js'
import { Timeline } from '../components/timeline.js'
import { Value } from '../components/value.js'
import { pathTo, withQuery } from '../links.js'
import { classOf, idOf } from '../models.js'
import { type PageContext, PageError } from '../page.js'
import { type Child, readAttempt, readChildren, type ShownAttempt } from '../queries/attempt.js'
import { readDependencies } from '../queries/batches.js'
import { currentPauses } from '../queries/pauses.js'
import { htmlResponse } from '../respond.js'

/** One attempt, with all that is known of it. */
export async function attemptPage(context: PageContext): Promise<Response> {
  const { settings, role, url, path } = context
  const Attempt = classOf(settings, path[1])
  const id = idOf(path[2], 'attempt')
  const [attempt, family, dependencies, pauses] = await Promise.all([
    readAttempt(Attempt, id, role.decrypt === true),
    readChildren(Attempt, id),
    readDependencies(Attempt, id),
    currentPauses(context),
  ])
  if (!attempt) throw new PageError(404, `There is no attempt ${id} of ${Attempt.name}. Retention may have deleted it.`)
  const title = `${attempt.target}.${attempt.method}, attempt ${attempt.id}`
  const matching = pauses.filter((pause) => attempt.status === 'pending' && matches(pause, Attempt, attempt))
  return htmlResponse(
    settings,
    <Layout settings={settings} role={role} section="attempts" title={title} url={url}>
      <AttemptsCrumb settings={settings} name={Attempt.name} />
      <Live id="attempt">
        <header class="title">
          <div>
            <h1>
              <Call target={attempt.target} method={attempt.method} />
            </h1>
            <p class="under">
              #{attempt.id} <Status name={attempt.status} isPaused={matching.length > 0} />
            </p>
          </div>
          {!role.readOnly && <Actions {...{ context, Attempt, attempt }} />}
        </header>
        {matching.map((pause) => (
          <p key={`${pause.target}.${pause.method}`} class="notice problem">{`${describePause(pause)}.`}</p>
        ))}
        {attempt.progress !== null && attempt.status !== 'succeeded' && (
          <ProgressLine
            value={attempt.progress}
            message={attempt.progressMessage}
            label={attempt.status === 'running' ? 'Progress' : 'Progress of the latest run'}
          />
        )}
        <div class="columns">
          <div>
            <Content attempt={attempt} />
            <Errors attempt={attempt} />
          </div>
          <aside aria-label="Facts">
            <AttemptFacts settings={settings} name={Attempt.name} attempt={attempt} />
            <RelatedAttempts
              settings={settings}
              name={Attempt.name}
              title={attempt.status === 'blocked' ? 'Waits for' : 'Waited for'}
              attempts={dependencies.predecessors}
              total={attempt.afterCount ?? 0}
            />
            <RelatedAttempts
              settings={settings}
              name={Attempt.name}
              title="What waits for it"
              attempts={dependencies.dependents}
              total={dependencies.dependentCount}
            />
            <Timeline attempt={attempt} />
            <Children {...{ context, Attempt, ...family }} />
          </aside>
        </div>
      </Live>
    </Layout>,
  )
}

function matches(pause: PauseRow, { model }: AttemptClass, { target, method }: ShownAttempt): boolean {
  return pause.model === model && [ALL, target].includes(pause.target) && [ALL, method].includes(pause.method)
}

function Actions({
  context,
  Attempt,
  attempt,
}: {
  context: PageContext
  Attempt: AttemptClass
  attempt: ShownAttempt
}) {
  const confirm = pathTo(context.settings, 'attempts', Attempt.name, 'confirm')
  return (
    <p class="buttons">
      {actionsFor(attempt.status).map((action) => (
        <a
          key={action}
          class={`button ${ATTEMPT_ACTIONS[action].isDangerous ? 'danger' : 'primary'}`}
          href={withQuery(confirm, { action, id: attempt.id })}
        >
          {ATTEMPT_ACTIONS[action].label}
        </a>
      ))}
    </p>
  )
}

function Content({ attempt }: { attempt: ShownAttempt }) {
  const { encryptor, isDecrypted, undecryptable, argsText, argsBytes, resultText, resultBytes, status } = attempt
  const sealed = encryptor !== null && !isDecrypted ? encryptor : null
  return (
    <>
      {undecryptable && <p class="notice problem">{`Not decrypted: ${printable(undecryptable, 500)}`}</p>}
      <section class="card">
        <h2>Arguments</h2>
        <Value label="Arguments" text={argsText} bytes={argsBytes} encryptedWith={sealed} />
      </section>
      {status === 'succeeded' && (
        <section class="card">
          <h2>Result</h2>
          <Value label="Result" text={resultText} bytes={resultBytes} encryptedWith={sealed} />
        </section>
      )}
    </>
  )
}

function Errors({ attempt: { errors, errorCount } }: { attempt: ShownAttempt }) {
  const count = Number(errorCount ?? 0)
  if (errors === null && errorCount === null) return null
  const shown = errors ?? []
  return (
    <section class="card">
      <h2>{plural(count, 'error')}</h2>
      {shown.length < count && (
        <p class="note">{`The latest ${shown.length}. ${errors === null ? 'They are too large to show.' : ''}`}</p>
      )}
      {[...shown].reverse().map((error, i) => (
        <RunError key={i} error={error} number={count - i} />
      ))}
    </section>
  )
}

interface ChildrenProps {
  context: PageContext
  Attempt: AttemptClass
  children: Child[]
  total: number
  isMore: boolean
}

function Children({ context, Attempt, children, total, isMore }: ChildrenProps) {
  if (children.length === 0) return null
  return (
    <section class="card">
      <h2>{isMore ? `More than ${plural(total, 'child', 'children')}` : plural(total, 'child', 'children')}</h2>
      <ul class="plain">
        {children.map(({ id, target, method, status }) => (
          <li key={id}>
            <a href={pathTo(context.settings, 'attempts', Attempt.name, id)}>
              <Call target={target} method={method} />
            </a>{' '}
            <Status name={status} />
          </li>
        ))}
      </ul>
      {children.length < total && <p class="note">{`The newest ${children.length}.`}</p>}
    </section>
  )
}
