import type { AttemptClass } from '../../attempt/attempt.js'
import { printable } from '../../core/printable.js'
import {
  ATTEMPT_ACTIONS,
  type AttemptAction,
  changeMatching,
  isAttemptAction,
  statusesOf,
} from '../actions/attempts.js'
import { chosenIds } from '../chosen.js'
import { ConfirmForm } from '../components/confirm-form.js'
import { Hidden } from '../components/hidden.js'
import { Layout } from '../components/layout.js'
import { Call } from '../components/parts.js'
import { plural, printableLines } from '../components/text.js'
import { csrfToken } from '../csrf.js'
import { pathTo, withQuery } from '../links.js'
import { classOf } from '../models.js'
import { type PageContext, PageError } from '../page.js'
import { readAttempt } from '../queries/attempt.js'
import { type FilterInput, filterInput, filterOf, filterParameters } from '../queries/filter.js'
import { htmlResponse } from '../respond.js'

/** What an action is about to change. */
export interface Choice {
  action: AttemptAction
  /** The attempts that were chosen one by one; empty if all that match are meant. */
  ids: string[]
  input: FilterInput
}

/** Asks before attempts are changed, and says how many they are. */
export async function confirmPage(context: PageContext): Promise<Response> {
  const { settings, role, request, url, path } = context
  const Attempt = classOf(settings, path[1])
  const choice = choiceOf(url.searchParams)
  const count = choice.ids.length > 0 ? choice.ids.length : await countOf(Attempt, choice)
  const { label, isDangerous, meaning } = ATTEMPT_ACTIONS[choice.action]
  const { token, headers } = csrfToken(settings, request)
  const only = choice.ids.length === 1 ? await readAttempt(Attempt, BigInt(choice.ids[0]!), false) : undefined
  const title = choice.ids.length === 1 ? `${label} attempt ${choice.ids[0]}?` : `${label} ${plural(count, 'attempt')}?`
  const page = (
    <Layout settings={settings} role={role} section="attempts" title={title}>
      <ConfirmForm
        title={title}
        meaning={count === 1 ? meaning[0] : meaning[1]}
        action={pathTo(settings, 'attempts', Attempt.name, 'act')}
        fields={{
          csrf: token,
          action: choice.action,
          all: choice.ids.length === 0 ? '1' : '',
          ...filterParameters(choice.input),
        }}
        label={label}
        isDangerous={isDangerous}
        isDisabled={count === 0}
        back={backTo(context, Attempt, choice)}
      >
        {only && (
          <p>
            <Call target={only.target} method={only.method} />{' '}
            {only.argsText !== null && <code>{printable(only.argsText, 200)}</code>}
          </p>
        )}
        {choice.ids.length === 0 && (
          <p>{`All attempts of ${Attempt.name} that match when you confirm: ${describe(choice)}.`}</p>
        )}
        {choice.ids.map((id) => (
          <Hidden key={id} fields={{ id }} />
        ))}
      </ConfirmForm>
    </Layout>
  )
  return htmlResponse(settings, page, { headers })
}

/** @throws PageError */
export function choiceOf(parameters: URLSearchParams): Choice {
  const action = parameters.get('action')
  if (!isAttemptAction(action)) throw new PageError(400, 'There is no such action.')
  return { action, ids: chosenIds(parameters, 'attempt'), input: filterInput(parameters) }
}

async function countOf(Attempt: AttemptClass, { action, input }: Choice): Promise<number> {
  return await changeMatching(Attempt, action, await filterOf(Attempt, input), true)
}

/** Where the user came from. */
export function backTo({ settings }: PageContext, Attempt: AttemptClass, { ids, input }: Choice): string {
  if (ids.length === 1) return pathTo(settings, 'attempts', Attempt.name, ids[0]!)
  return withQuery(pathTo(settings, 'attempts', Attempt.name), filterParameters(input))
}

/** The filter in words. */
function describe({ action, input: { status, field, value, ...texts } }: Choice): string {
  const conditions = Object.entries(texts).filter(([, text]) => text !== '')
  return [
    (status ? [status] : statusesOf(action)).join(' or '),
    ...conditions.map(([name, text]) => `${name} ${JSON.stringify(printableLines(text, 100))}`),
    ...(field === ''
      ? []
      : [`${field} ${value === '' ? 'without a value' : JSON.stringify(printableLines(value, 100))}`]),
  ].join(', ')
}
