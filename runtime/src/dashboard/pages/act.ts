import { changeEach, changeMatching } from '../actions/attempts.js'
import { reported } from '../actions/audit.js'
import { withNotice } from '../components/notice.js'
import { plural } from '../components/text.js'
import { classOf } from '../models.js'
import type { PageContext } from '../page.js'
import { filterOf } from '../queries/filter.js'
import { seeOther } from '../respond.js'
import { backTo, choiceOf } from './confirm.js'

/** Changes the attempts that the user has confirmed. */
export async function actOnAttempts(context: PageContext, form: URLSearchParams): Promise<Response> {
  const { settings, cache, path } = context
  const Attempt = classOf(settings, path[1])
  const choice = choiceOf(form)
  const { action, ids } = choice
  const filter = await filterOf(Attempt, choice.input)
  let unchanged = 0
  const isAll = ids.length === 0
  const { changed, isRecorded } = await reported(
    context,
    {
      action,
      model: Attempt.model,
      subject:
        ids.length === 1
          ? `${Attempt.name} ${ids[0]}`
          : isAll
            ? `all attempts of ${Attempt.name} that match`
            : `${plural(ids.length, 'attempt')} of ${Attempt.name}`,
      ...(isAll ? { filter: { ...filter } } : { ids }),
    },
    async (add) => {
      if (isAll) add(await changeMatching(Attempt, action, filter, false))
      else unchanged = await changeEach(Attempt, action, ids, add)
    },
  )
  cache.clear()
  return seeOther(settings, withNotice(backTo(context, Attempt, choice), { action, changed, unchanged, isRecorded }))
}
